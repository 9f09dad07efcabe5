"""Going back to before a turn, files and conversation, together or each alone; and forward again."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.errors import TidegateError
from app.review.model import TurnSummary
from app.ui.background import begin_again
from app.ui.dialogs.listing import Listing, ListRow
from app.ui.keys.typed_ahead import opening
from app.ui.panes.agent import AgentPane
from app.ui.panes.review.pane import ReviewPane

if TYPE_CHECKING:
    from app.agent.session.branches import RewindPoint

_VERBS = {"enter": "files and conversation", "c": "conversation alone", "f": "files alone"}
_FILES_FORWARD = "files"
_FILES_BACK = "The files are as before that turn."


class Rewind:
    """The choice of a turn and of what goes back, and carrying it out."""

    def __init__(self, agent: AgentPane, review: ReviewPane) -> None:
        self._agent = agent
        self._review = review

    async def choose(self) -> None:
        """Ask where to go. Raises TidegateError."""
        with opening(self._agent):
            await self._ask()

    async def _ask(self) -> None:
        agent, review = self._agent.port, self._review.port
        points = await asyncio.to_thread(agent.rewind_points)
        turns = await asyncio.to_thread(review.turns)
        is_rewound = await asyncio.to_thread(review.is_rewound)
        if not (points or turns or is_rewound):
            self._agent.tell("There is nothing to go back on yet.")
            return
        own = agent.session_id
        others = [turn for turn in turns if turn.session != own]
        changed = {turn.turn: turn.paths for turn in turns if turn.session == own}
        entries = [self._entry(point, changed, is_rewound) for point in reversed(points)]
        if is_rewound and not any(point.ahead for point in points):
            entries.insert(0, ListRow(_FILES_FORWARD, "The files as they were", "forward", tone="success"))
        entries += [
            ListRow(
                f"turn {turn.serial}", _line(turn.words), "before", f"another session · {_names(turn.paths)}"
            )
            for turn in reversed(others)
        ]

        def go(chosen: tuple[str, str] | None) -> None:
            if chosen is not None:
                verb, key = chosen
                begin_again(self._agent, "rewind", self._go, verb, key, points, others)

        current = f"place {points[-1].position}" if points else ""
        self._agent.app.push_screen(Listing("Go back to", entries, _VERBS, current), go)

    @staticmethod
    def _entry(point: "RewindPoint", changed: dict[int, tuple[str, ...]], is_rewound: bool) -> ListRow:
        key = f"place {point.position}"
        if point.ahead:
            turns = "1 turn" if point.ahead == 1 else f"{point.ahead} turns"
            files = ", and the files" if is_rewound else ""
            return ListRow(
                key, _line(point.text), "forward", f"{turns} that you went back on{files}", "success"
            )
        return ListRow(key, _line(point.text), "before", _names(changed.get(point.turn, ())), "accent")

    async def _go(
        self, verb: str, key: str, points: "Sequence[RewindPoint]", others: Sequence[TurnSummary]
    ) -> None:
        if self._agent.is_working:
            self._agent.app.notify("The agent is at work; wait, or stop it.", severity="warning")
            return
        point = next((point for point in points if key == f"place {point.position}"), None)
        other = next((turn for turn in others if key == f"turn {turn.serial}"), None)
        try:
            if verb == "c" and point is None:
                self._agent.app.notify(
                    "The conversation cannot go there; F takes the files.", severity="warning"
                )
                return
            said = await asyncio.to_thread(self._move, verb, point, other)
            if point is not None and verb != "f":
                history = await asyncio.to_thread(self._agent.port.history)
                if point.ahead and self._agent.prompt.full_text() == point.text:
                    self._agent.prompt.text = ""  # what going back put there
                self._agent.show_again(history, "" if point.ahead else point.text)
        except TidegateError as error:
            self._agent.app.notify(str(error), severity="error", timeout=8)
        else:
            self._agent.app.notify(said, timeout=6)
        self._review.reload()
        self._review.post_message(ReviewPane.DiskChanged())

    def _move(self, verb: str, point: "RewindPoint | None", other: TurnSummary | None) -> str:
        """Blocks on the disk. Files first: they may refuse. Returns what to say of it."""
        agent, review = self._agent.port, self._review.port
        has_conversation, has_files = point is not None and verb != "f", verb != "c"
        parts: list[str] = []
        if has_files:
            if point is None or point.ahead:
                if other is not None:
                    parts.append(review.rewind(other.turn, other.session) or _FILES_BACK)
                elif review.is_rewound():
                    review.undo()
                    parts.append("The files are as they were.")
                elif not has_conversation:
                    return "The files did not go back last; u in the review takes decisions back."
            else:
                session = agent.session_id
                said = review.rewind(point.turn, session, tells=not has_conversation)
                parts.append(said or _FILES_BACK)
        if has_conversation and point is not None:
            agent.go_to(point)
            parts.append(
                "The conversation goes on where it was left."
                if point.ahead
                else "The conversation ends before that turn; what you wrote stands below."
            )
        return " ".join(parts)


def _line(text: str) -> str:
    return next((line for line in text.strip().splitlines() if line.strip()), "(no words)")


def _names(paths: Sequence[str]) -> str:
    if not paths:
        return "no open changes"
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
