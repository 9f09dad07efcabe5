"""Every theme, tried on as the cursor goes over it."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from app.errors import TidegateError
from app.review.diff.parse import parse_diff
from app.settings.settings import remember
from app.ui.dialogs.dialog import Dialog
from app.ui.dialogs.listing import ListLines, ListRow
from app.ui.diff.view import DiffView
from app.ui.drawing.themes import OURS

_SAMPLE = b"""\
--- a/tides.py
+++ b/tides.py
@@ -1,4 +1,5 @@ class Gate:
     def level(self, hour: int) -> float:
-        # The height of the water, in feet
-        return self.mean + self.range * 3
+        # The height of the water, in metres
+        factor = 0.3048
+        return (self.mean + self.range * 3) * factor

"""


class _Themes(ListLines):
    """The names; tells its screen where the cursor is."""

    def move_to(self, row: int, **options: Any) -> None:
        super().move_to(row, **options)
        self._tell()

    def point_to(self, row: int) -> None:
        super().point_to(row)
        self._tell()

    def _tell(self) -> None:
        if self.entries and isinstance(self.screen, ThemePicker):
            self.screen.try_on(self.entries[self.cursor_row].key)


def theme_rows(names: Sequence[str]) -> list[ListRow]:
    """Ours first, then Textual's by name."""
    ours = [theme.name for theme in OURS]
    others = sorted(name for name in names if name not in ours)
    return [ListRow(name, name, tail="ours" if name in ours else "") for name in (*ours, *others)]


class ThemePicker(Dialog[None]):
    """Enter keeps the theme and writes it into the settings, Esc leaves what was."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "keep", "Keep this theme"),
        Binding("escape,q", "leave", "Back to what was"),
    ]

    def __init__(self, names: Sequence[str], current: str) -> None:
        super().__init__()
        self._before = current
        self._lines = _Themes(theme_rows(names), current)
        self._sample = DiffView(id="theme-sample")
        self._sample.can_focus = False

    def compose(self) -> ComposeResult:
        with Vertical(id="theme-box", classes="dialog") as box:
            box.border_title = "Theme"
            box.border_subtitle = "j k try · Enter keeps · Esc goes back"
            yield self._lines
            yield self._sample

    def on_mount(self) -> None:
        self._sample.set_changes(parse_diff(_SAMPLE))
        self._lines.focus()

    def try_on(self, name: str) -> None:
        """Show everything in this theme."""
        if self.app.theme != name:
            self.app.theme = name

    def on_diff_view_file_wanted(self, event: DiffView.FileWanted) -> None:
        event.stop()
        self._sample.know_file(event.change, ())

    def on_click(self, event: events.Click) -> None:
        if event.widget is self._lines and event.chain == 2:
            self.action_keep()

    def action_keep(self) -> None:
        name, app = self.app.theme, self.app

        async def keep() -> None:
            try:
                await asyncio.to_thread(remember, "theme", name)
            except TidegateError as error:
                app.notify(str(error), severity="error", timeout=8)

        app.run_worker(keep(), group="settings")
        self.dismiss()

    def action_leave(self) -> None:
        self.app.theme = self._before
        self.dismiss()
