"""The agent's plan: one line, and all of it on a key or a click."""

from collections.abc import Sequence

from rich.text import Text

from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible
from app.ui.widgets.one_line import OneLine

Todos = Sequence[tuple[str, str]]
"""The steps, each with its state."""


def current_of(todos: Todos) -> int:
    """The step that is under way, or the first that is left."""
    states = [state for _, state in todos]
    if "in_progress" in states:
        return states.index("in_progress")
    return next((number for number, state in enumerate(states) if state != "completed"), len(states) - 1)


class TodoList(OneLine):
    """Shown from the first plan of a turn to its end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._todos: Todos = ()
        self.is_unfolded = False

    def on_mount(self) -> None:
        self.display = False

    def show(self, todos: Todos) -> None:
        """Show `todos`; none takes the line away."""
        self._todos = todos
        self.display = bool(todos)
        self._arrange()

    def toggle(self) -> None:
        """Every step, or only where it stands."""
        self.is_unfolded = not self.is_unfolded
        self._arrange()

    def _arrange(self) -> None:
        self.styles.height = len(self._todos) + 1 if self.is_unfolded else 1
        self.redraw()

    def line(self, width: int, palette: Palette) -> Text:
        todos = self._todos
        if not todos:
            return Text("")
        done = sum(state == "completed" for _, state in todos)
        current = current_of(todos)
        head = Text(f"{'▾' if self.is_unfolded else '▸'} Plan {done}/{len(todos)}", style=palette.muted)
        if not self.is_unfolded:
            words = "done" if done == len(todos) else visible(todos[current][0])
            head.append(f"  {words}", palette.accent if done < len(todos) else palette.faint)
            head.truncate(width, overflow="ellipsis")
            return head
        lines = [head]
        for number, (text, state) in enumerate(todos):
            mark, tone = {
                "completed": ("✓", palette.faint),
                "in_progress": ("▸", palette.accent),
            }.get(state, ("·", palette.muted))
            step = Text(f"{mark} {visible(text)}", style=palette.accent if number == current else tone)
            step.truncate(width, overflow="ellipsis")
            lines.append(step)
        return Text("\n").join(lines)

    def on_click(self) -> None:
        self.toggle()
