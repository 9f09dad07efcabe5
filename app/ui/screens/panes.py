"""A screen of three panes, files, centre and agent: how they fold, how wide they are, which has the focus."""

from pathlib import Path

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from app.ui.keys.actions import Scope
from app.ui.keys.keymap import Keymap
from app.ui.panes.agent import AgentPane
from app.ui.panes.tree import FileTree
from app.ui.screens.folding import STEP, Folding
from app.ui.screens.resizing import Resizing
from app.ui.widgets.ask_line import AskLine
from app.ui.widgets.hint_line import HintLine
from app.ui.widgets.status_line import StatusLine

# The actions that a widget's keys mean, by the widget's id.
_SCOPES: dict[str, Scope] = {
    "tree": "tree",
    "viewer": "viewer",
    "editor": "editor",
    "search": "search",
    "review": "review",
    "transcript": "transcript",
    "prompt": "prompt",
    "permission": "permission",
    "tests": "tests",
    "terminal": "terminal",
    "problems": "problems",
}


class PanesScreen(Screen[None]):
    """Lays the panes out and moves the focus among them. A subclass makes them before the screen is mounted:
    `files`, `tree_line`, `views` (what the centre shows, one at a time), `agent` and `status_line`."""

    files: FileTree
    tree_line: AskLine
    views: tuple[Widget, ...]
    agent: AgentPane
    status_line: StatusLine

    def __init__(self, keymap: Keymap, root: Path) -> None:
        super().__init__()
        self.folding = Folding()
        self.panes = self.folding.panes
        self.switcher = ContentSwitcher(id="centre", initial="viewer")
        self.hint_line = HintLine(keymap, id="hints")
        self._resizing = Resizing(self, self.folding, root)

    def compose(self) -> ComposeResult:
        with Horizontal(id="panes"):
            with self.panes["tree"]:
                yield self.files
                yield self.tree_line
            with self.panes["centre"], self.switcher:
                yield from self.views
            with self.panes["agent"]:
                yield self.agent
        yield self.status_line
        yield self.hint_line

    def title_centre(self) -> None:
        """Say in the centre's border what it shows."""
        raise NotImplementedError

    # Which panes are there, and which has the focus.

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        self.fold()

    def fold(self) -> None:
        """Fit the panes to the size of the terminal."""
        size = self.app.size
        self.set_class(size.height < 12, "short")
        self.set_class(size.width < 44 or size.height < 7, "tiny")
        self.folding.fit(size)

    def leave_hidden(self) -> None:
        """Go to the centre, if it is shown and what had the focus is not, so that no key would do anything."""
        is_hidden = self.focused is None or (self.focused is self.files and not self.folding.shows_tree)
        if is_hidden and self.panes["centre"].display:
            self._show(self.switcher.current or "viewer")

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        pane = self.pane_of(event.widget)
        self._mark_focused(pane)
        if pane in ("centre", "agent"):
            self.folding.main = pane
        # What a line asks for is told below too: in it there is room only while nothing is written.
        words = event.widget.placeholder if isinstance(event.widget, AskLine) else ""
        self.hint_line.show(self._scopes_of(event.widget), words)

    @staticmethod
    def pane_of(widget: Widget) -> str | None:
        """The name of the pane that a widget is in."""
        for node in widget.ancestors_with_self:
            if node.id in ("tree-pane", "centre-pane", "agent-pane"):
                return node.id.removesuffix("-pane")
        return None

    @staticmethod
    def _scopes_of(widget: Widget) -> tuple[Scope, ...]:
        found = [_SCOPES[node.id] for node in widget.ancestors_with_self if node.id in _SCOPES]
        return (*found[:1], "app")

    # Going places.

    def action_show_files(self) -> None:
        self.folding.reveal("tree")
        self.files.focus()

    def action_toggle_tree(self) -> None:
        if not self.folding.shows_tree:
            self.action_show_files()
            return
        had_focus = self.files.has_focus
        self.folding.hide_tree()
        if had_focus:
            self.focus_main()

    def focus_main(self) -> None:
        """Go to the centre or the agent, whichever had the focus last."""
        if self.folding.main == "agent":
            self.action_show_agent()
        else:
            self.action_show_centre()

    def action_show_viewer(self) -> None:
        self._show("viewer")

    def action_show_review(self) -> None:
        self._show("review")

    def action_show_centre(self) -> None:
        self._show(self.switcher.current or "viewer")

    def _show(self, name: str) -> None:
        self.folding.reveal("centre")
        self.switch(name)
        pane = self.query_one(f"#{name}")
        views = (widget for widget in pane.query("LineView, EditorArea").results(Widget) if widget.display)
        focusable = next(views, pane if pane.can_focus else None)
        if focusable is not None:
            focusable.focus()
        else:
            self.set_focus(None)
            self._mark_focused("centre")
            self.hint_line.show(("app",))

    def _mark_focused(self, pane: str | None) -> None:
        """Show by its border which pane the user is in, though perhaps nothing in it can take a key."""
        for name, container in self.panes.items():
            container.set_class(name == pane, "focused")

    def switch(self, name: str) -> None:
        """Have the centre show this view, by its id; the focus stays where it is."""
        self.switcher.current = name
        self.title_centre()

    def action_show_agent(self) -> None:
        self.folding.reveal("agent")
        if self.agent.main_widget is self.agent.prompt:
            # At once: what is typed right after the key goes there too.
            self.set_focus(self.agent.prompt)
        else:
            self.agent.main_widget.focus()

    def action_zoom(self) -> None:
        if not self.folding.unzoom():
            focused = self.focused
            pane = self.pane_of(focused) if focused is not None else None
            self.folding.zoom(pane or self.folding.main)

    def action_wider(self) -> None:
        self._resize(STEP)

    def action_narrower(self) -> None:
        self._resize(-STEP)

    def _resize(self, columns: int) -> None:
        pane = self.pane_of(self.focused) if self.focused is not None else None
        self._resizing.by(pane or self.folding.main, columns)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._resizing.press(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._resizing.move(event)

    def on_mouse_up(self) -> None:
        self._resizing.release()
