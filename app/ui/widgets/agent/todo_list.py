"""The agent's plan, while there is something left of it to do."""

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible

_MOST = 7  # steps in view, those around the one that is under way


class TodoList(Static):
    """Not shown before there is a plan, and no longer when all of it is done."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)

    def on_mount(self) -> None:
        self.display = False

    def show(self, todos: Sequence[tuple[str, str]]) -> None:
        """Show `todos`, each with its state."""
        self.display = any(state != "completed" for _, state in todos)
        palette = Palette.of(self.app)
        done = sum(state == "completed" for _, state in todos)
        current = next((n for n, (_, state) in enumerate(todos) if state != "completed"), 0)
        first = max(0, min(current - 1, len(todos) - _MOST))
        lines = [Text(f"Plan {done}/{len(todos)}", style=palette.muted)]
        for text, state in todos[first : first + _MOST]:
            mark, tone = {
                "completed": ("✓", palette.faint),
                "in_progress": ("▸", palette.accent),
            }.get(state, ("·", palette.muted))
            lines.append(Text(f"{mark} {visible(text)}", style=tone))
        self.update(Text("\n").join(lines))
