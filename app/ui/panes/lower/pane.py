"""The pane below the others, with one of its views at a time."""

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Container
from textual.content import Content
from textual.widget import Widget
from textual.widgets import ContentSwitcher

View = Literal["terminal", "tests", "problems"]
_NAMES: dict[View, str] = {"terminal": "Terminal", "tests": "Tests", "problems": "Problems"}


class LowerPane(Container):
    """Hidden until a view is shown; each view is made when it is first wanted."""

    def __init__(self) -> None:
        super().__init__(id="lower-pane", classes="pane")
        self.display = False
        self._switcher = ContentSwitcher(id="lower")
        self._views: dict[View, Widget] = {}

    def compose(self) -> ComposeResult:
        yield self._switcher

    @property
    def current(self) -> View | None:
        """The view that is shown, or was last."""
        return next((name for name in self._views if self._switcher.current == name), None)

    @property
    def shown(self) -> View | None:
        """The view that is on the screen."""
        return self.current if self.display else None

    async def show(self, name: View, view: Widget) -> None:
        """Show `view`, whose id is `name`."""
        self.display = True
        if name not in self._views:
            self._views[name] = view
            await self._switcher.add_content(view, id=name)
        self._switcher.current = name
        self.retitle()

    def hide(self) -> None:
        """Give the others the room."""
        self.display = False

    def retitle(self) -> None:
        """Say in the border which views there are, and what there is to know of each."""
        parts = []
        for name, words in _NAMES.items():
            about = getattr(self._views.get(name), "title", "")
            mark = "[b]" if name == self.current else "[dim]"
            told = f"{words} {about}" if about else words
            parts.append(Content.from_markup(f"[@click=screen.show_{name}]{mark}$words[/][/]", words=told))
        self.border_title = Content(" · ").join(parts)
