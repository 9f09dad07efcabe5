"""The files that are open: where each was left, listed and switched."""

from collections.abc import Callable, Collection

from textual.widget import Widget

from app.ui.dialogs.listing import Listing, ListRow


class OpenFiles:
    """The files that were looked at, the last one last, each with the line that it was left at."""

    def __init__(self, widget: Widget, go: Callable[[str, int], None]) -> None:
        """`go` opens a file at a line."""
        self._widget = widget
        self._go = go
        self._lines: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def opened(self, path: str, line: int) -> None:
        """`path` is shown now."""
        self._lines.pop(path, None)
        self._lines[path] = line

    def left(self, path: str, line: int) -> None:
        """The cursor is on `line` of `path`."""
        if path in self._lines:
            self._lines[path] = line

    def list(self, current: str, unsaved: Collection[str]) -> None:
        """Let one be chosen."""
        entries = [
            ListRow(path, path, "●" if path in unsaved else " ", f"line {line:,}", "accent")
            for path, line in reversed(self._lines.items())
        ]

        def go(chosen: tuple[str, str] | None) -> None:
            if chosen is not None:
                self._go(chosen[1], self._lines.get(chosen[1], 1))

        title = f"{len(entries)} open, {len(unsaved)} not saved"
        self._widget.app.push_screen(Listing(title, entries, {"enter": "opens it"}, current), go)

    def step(self, current: str | None, step: int) -> None:
        """Open the next of them by name, or the one before, around the end."""
        paths = sorted(self._lines)
        if current in paths and len(paths) > 1:
            path = paths[(paths.index(current) + step) % len(paths)]
            self._go(path, self._lines[path])
