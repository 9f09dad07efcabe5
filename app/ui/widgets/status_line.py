"""One line with the status of engine, agent, repository and context."""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from app.model.events import EngineStatus
from app.settings.settings import Effort, Mode
from app.testing.model import TestState
from app.ui.drawing.gutter import PROBLEM_SIGNS
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible
from app.ui.widgets.one_line import OneLine


@dataclass(frozen=True, slots=True)
class StatusFacts:
    """What the line shows. Counts are in tokens; None is not known yet."""

    engine: EngineStatus
    mode: Mode = "ask"
    effort: Effort = "default"
    branch: str | None = None
    operation: str | None = None
    has_git: bool = True
    context_used: int | None = None
    tokens_per_second: float | None = None
    """Of the reply that comes, else of the last one; likewise what drafts did for it."""
    accepted_per_step: float | None = None
    draft_sources: tuple[str, ...] = ()
    expert_hit_rate: float | None = None
    cached: int | None = None
    """Of the last prompt, what was known already, and what had to be read."""
    new: int | None = None
    pending_hunks: int = 0
    is_working: bool = False
    is_asking: bool = False
    problems: tuple[int, int] = (0, 0)
    """Errors and warnings of the language servers, in the files they know."""
    tests: TestState | None = None
    """How the last run of the tests ended, or that they run."""
    working_beside: int = 0
    """Agents in other worktrees that work, and that ask."""
    asking_beside: int = 0


def thousands(count: int) -> str:
    """12,345 as 12.3k."""
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 100_000 else f"{count // 1000}k"


class StatusLine(OneLine):
    """Engine, mode and branch to the left; context, speed and open hunks to the right. Where it is narrow, the
    least important goes first."""

    def __init__(self, facts: StatusFacts, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.facts = facts

    def show(self, facts: StatusFacts) -> None:
        """Show `facts`."""
        if facts != self.facts:
            self.facts = facts
            self.redraw()

    def line(self, width: int, palette: Palette) -> Text:
        left, right = self._left(palette), self._right(palette)
        parts = sorted([*left, *right], key=lambda part: -part[0])
        while len(parts) > 1 and sum(cell_len(text.plain) + 3 for _, text in parts) > width:
            parts.pop()
        kept = {id(part[1]) for part in parts}
        head = Text("  ", style=palette.muted).join([text for _, text in left if id(text) in kept])
        tail = Text("  ", style=palette.muted).join([text for _, text in right if id(text) in kept])
        gap = max(1, width - head.cell_len - tail.cell_len - 2)
        line = Text.assemble(" ", head, " " * gap, tail, " ")
        line.truncate(width, overflow="ellipsis")
        return line

    def _left(self, palette: Palette) -> list[tuple[int, Text]]:
        facts = self.facts
        modes = {"plan": palette.primary, "ask": palette.accent, "auto": palette.success}
        mode = Text(f"{facts.mode}", style=modes[facts.mode])
        parts = [(100, self._engine(palette)), (90, mode)]
        if facts.effort != "default":
            parts.append((70, Text(f"effort {facts.effort}", style=palette.accent)))
        if not facts.has_git:
            parts.append((40, Text("no git", style=palette.muted)))
        elif facts.branch is not None:
            branch = Text(f"⎇ {visible(facts.branch)}", style=palette.muted)
            if facts.operation:
                # Not the name alone, which would read as a second part of the branch's.
                branch.append(f" · in a {facts.operation}", palette.warning)
            parts.append((40, branch))
        return parts

    def _engine(self, palette: Palette) -> Text:
        status = self.facts.engine
        tone = {
            "ready": palette.success,
            "failed": palette.error,
            "absent": palette.warning,
            "stopped": palette.muted,
        }.get(status.phase, palette.accent)
        name = visible(status.model.id).rstrip("/").rsplit("/", 1)[-1] if status.model is not None else ""
        if status.phase == "ready":
            words = name or "ready"
        elif status.phase == "absent":
            words = "no model"
        elif status.phase == "failed":
            words = "not running"
        else:
            words = f"{status.phase} {name}".strip()
            if status.progress is not None:
                words += f" {round(100 * status.progress)}%"
        mark = "●" if status.phase == "ready" else "○"
        if self.facts.is_working:
            mark = "◉"
        return Text.assemble((f"{mark} ", tone), (words, palette.strong if status.phase == "ready" else tone))

    def _right(self, palette: Palette) -> list[tuple[int, Text]]:
        facts = self.facts
        parts = []
        if facts.is_asking:
            parts.append((95, Text("the agent asks you", style=palette.warning + Style(bold=True))))
        if facts.asking_beside:
            verb = "asks" if facts.asking_beside == 1 else "ask"
            parts.append((94, Text(f"{facts.asking_beside} beside you {verb}", style=palette.warning)))
        elif facts.working_beside:
            verb = "works" if facts.working_beside == 1 else "work"
            parts.append((60, Text(f"{facts.working_beside} beside you {verb}", style=palette.muted)))
        if facts.engine.is_short:
            parts.append((85, Text("memory is short", style=palette.warning)))
        if any(facts.problems):
            parts.append((65, _problems(*facts.problems, palette)))
        if facts.tests is not None:
            parts.append((70, _tests(facts.tests, palette)))
        if facts.pending_hunks:
            parts.append((80, Text(f"{facts.pending_hunks} to review", style=palette.accent)))
        if facts.tokens_per_second:
            parts.append((50, Text(f"{facts.tokens_per_second:.0f} tok/s", style=palette.muted)))
        if facts.accepted_per_step is not None:
            words = f"{visible('+'.join(facts.draft_sources) or 'drafts')} +{facts.accepted_per_step:.1f}/step"
            parts.append((45, Text(words, style=palette.muted)))
        if facts.expert_hit_rate is not None:
            parts.append((40, Text(f"{facts.expert_hit_rate:.0%} experts in memory", style=palette.muted)))
        if facts.cached is not None and facts.new is not None:
            words = f"{thousands(facts.cached)} cached, {thousands(facts.new)} new"
            parts.append((30, Text(words, style=palette.muted)))
        if facts.context_used is not None:
            total = facts.engine.model.context_length if facts.engine.model is not None else None
            words = f"{thousands(facts.context_used)}"
            tone = palette.muted
            if total:
                share = facts.context_used / total
                words += f"/{thousands(total)} {round(100 * share)}%"
                tone = palette.error if share > 0.9 else palette.warning if share > 0.75 else palette.muted
            parts.append((60, Text(f"ctx {words}", style=tone)))
        return parts


def _tests(state: TestState, palette: Palette) -> Text:
    if state.phase == "passed":
        return Text(f"tests ✓ {state.passed:,}" if state.passed else "tests ✓", style=palette.success)
    if state.phase == "failed":
        return Text(f"tests ✗ {state.failed:,}" if state.failed else "tests ✗", style=palette.error)
    return Text("tests …" if state.phase == "running" else "tests stopped", style=palette.muted)


def _problems(errors: int, warnings: int, palette: Palette) -> Text:
    counts = [(f"{PROBLEM_SIGNS['error']} {errors:,}", palette.error)] if errors else []
    counts += [(f"{PROBLEM_SIGNS['warning']} {warnings:,}", palette.warning)] if warnings else []
    return Text(" ").join([Text(words, style=tone) for words, tone in counts])
