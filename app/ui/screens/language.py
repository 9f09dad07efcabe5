"""The screen and language servers: files are shown to them, and what they say is shown to the user."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import TidegateError
from app.language.model import Spot
from app.language.servers import LanguageServers
from app.ui.background import begin_again
from app.ui.dialogs.listing import Listing, ListRow
from app.workspace.search.ripgrep import Match

if TYPE_CHECKING:
    from app.ui.screens.lower import LowerScreen

_PAUSE = 0.4  # seconds without a key, after which what was written is shown to the servers
_BETWEEN = 0.1  # seconds between two times that the screen shows what they say
Ask = Callable[[str, str, int, int], Awaitable[tuple[Spot, ...]]]
"""Asks for a path, its text, a line and a column, both counted from 0."""

_NAME = re.compile(r"[^\W\d]\w*")


class Language:
    """Between `servers` and the panes of `screen`."""

    def __init__(self, screen: "LowerScreen", servers: LanguageServers, root: Path) -> None:
        self._screen = screen
        self.servers = servers
        self._root = root
        servers.listener = self._news
        self._has_news = False

    def show_file(self, *, is_writing: bool = False) -> None:
        """The file that is open is another, or has other content. `is_writing`: there may be more at once."""
        if not is_writing:
            self.show_problems()
        pause = _PAUSE if is_writing else 0.0
        begin_again(self._screen, "language", self._look, pause)

    async def _look(self, pause: float) -> None:
        await asyncio.sleep(pause)
        path, text = self._screen.viewer.path, self._screen.viewer.text
        if path is not None and text is not None:
            try:
                await self.servers.look(path, text)
            except TidegateError as error:  # the settings are not right: told where they are used by hand
                self._screen.log(str(error))

    def _news(self) -> None:
        if not self._has_news and self._screen.is_mounted:
            self._has_news = True
            self._screen.set_timer(_BETWEEN, self.show_problems)

    def show_problems(self) -> None:
        """Show what the servers say now."""
        self._has_news = False
        screen, problems = self._screen, self.servers.problems
        path = screen.viewer.path
        here = self.servers.problems_in(path) if path is not None else ()
        screen.viewer.show_problems({problem.line - 1: problem.severity for problem in reversed(here)})
        screen.problems_changed(problems, tuple(self.servers.states.values()))

    # Where names are defined and used.

    def definition(self) -> None:
        """Go to where the name under the cursor is defined."""
        self._ask("defined", self.servers.definition)

    def references(self) -> None:
        """List where the name under the cursor is used."""
        self._ask("used", self.servers.references)

    def _ask(self, what: str, ask: Ask) -> None:
        viewer = self._screen.viewer
        path, text = viewer.path, viewer.text
        if path is None or text is None:
            return
        line, column = viewer.cursor
        go = partial(self._begin, what, lambda at: ask(path, text, line, at))
        if column is not None:
            go(column)
            return
        # Reading, there is a line and no column: the user says which of its names is meant.
        lines = text.split("\n")
        names: dict[str, int] = {}
        for match in _NAME.finditer(lines[line] if line < len(lines) else ""):
            names.setdefault(match[0], match.start())
        entries = [ListRow(str(at), name) for name, at in names.items()]
        if len(entries) == 1:
            go(int(entries[0].key))
        elif entries:
            self._screen.app.push_screen(
                Listing(f"Where is it {what}?", entries, {"enter": "goes there"}),
                lambda chosen: go(int(chosen[1])) if chosen is not None else None,
            )

    def _begin(self, what: str, ask: Callable[[int], Awaitable[tuple[Spot, ...]]], column: int) -> None:
        begin_again(self._screen, "definition", self._go, what, partial(ask, column))

    async def _go(self, what: str, ask: Callable[[], Awaitable[tuple[Spot, ...]]]) -> None:
        try:
            spots = await ask()
        except TidegateError as error:
            self._screen.notify(str(error), severity="warning", timeout=6)
            return
        inside = [spot for spot in spots if spot.is_inside]
        if not spots:
            self._screen.notify(
                f"No language server knows where this is {what}.", severity="warning", timeout=4
            )
        elif not inside:
            self._screen.notify(f"It is {what} outside: {spots[0].path}:{spots[0].line}", timeout=8)
        elif len(inside) == 1:
            self._screen.finding.walk([Match(inside[0].path, inside[0].line, "")], 0)
        else:
            await self._choose(what, inside)

    async def _choose(self, what: str, spots: Sequence[Spot]) -> None:
        root = self._root
        texts = await asyncio.to_thread(lambda: [_line_of(root / spot.path, spot.line) for spot in spots])
        matches = [Match(spot.path, spot.line, text) for spot, text in zip(spots, texts, strict=True)]
        entries = [
            ListRow(str(number), match.text.strip(), f"{match.path}:{match.line}", tone="accent")
            for number, match in enumerate(matches)
        ]

        def chosen(choice: tuple[str, str] | None) -> None:
            if choice is not None:
                self._screen.finding.walk(matches, int(choice[1]))

        self._screen.app.push_screen(
            Listing(f"{len(matches)} places where it is {what}", entries, {"enter": "opens it"}), chosen
        )


def _line_of(file: Path, number: int) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return next((line for at, line in enumerate(opened, 1) if at == number), "")
    except OSError:
        return ""
