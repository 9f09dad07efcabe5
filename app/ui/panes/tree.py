"""The files, with what git says of each."""

import asyncio
import time
from collections.abc import Collection, Iterable
from typing import ClassVar, Literal

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from app.errors import TidegateError
from app.ui.background import begin_again
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible
from app.ui.keys.actions import bindings
from app.workspace.model import DirectoryEntry, RepositoryStatus, StatusCode
from app.workspace.watch import ANYTHING
from app.workspace.workspace import Workspace

_TYPING = 2.0  # seconds between two letters of a name, at most
_PORTION = 1_000  # names of one folder shown at a time

_MARKS: dict[StatusCode, str] = {
    "modified": "M",
    "added": "A",
    "deleted": "D",
    "renamed": "R",
    "untracked": "U",
    "conflicted": "!",
    "ignored": "",
}

Node = TreeNode[DirectoryEntry | None]

TreeAsks = Literal[
    "filter", "create", "rename", "copy", "throw_away", "undo", "stage", "copy_path", "edit", "show"
]
"""What the user can ask for in the tree."""


class FileTree(Tree[DirectoryEntry | None]):
    """Folders are read in a thread when they are opened. A node without entry says that names are left out."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("tree"))
    ICON_NODE = "▸ "
    ICON_NODE_EXPANDED = "▾ "

    class FileChosen(Message):
        """The user wants to see a file."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    class WorkWanted(Message):
        """The user wants something done to a file or folder; `path` is "" for the root."""

        def __init__(self, what: TreeAsks, path: str) -> None:
            super().__init__()
            self.what = what
            self.path = path

    class ReloadWanted(Message):
        """The user wants git's status read again."""

    def __init__(self, workspace: Workspace, *, id: str | None = None) -> None:
        super().__init__(Text(visible(workspace.root.name)), None, id=id)
        self._workspace = workspace
        self._listings: dict[str, tuple[DirectoryEntry, ...]] = {}
        self._by_path: dict[str, Node] = {}
        self._status: RepositoryStatus | None = None
        self._touched: dict[str, str] = {}
        self._palette: Palette | None = None
        self.shows_ignored = True
        self.shows_hidden = True
        self._filtered: list[DirectoryEntry] | None = None  # what is shown instead of the folders
        self._typed: tuple[str, float] | None = None  # the beginning of a name, and when it was typed
        self.show_root = False
        self.guide_depth = 2
        self.auto_expand = False

    def on_mount(self) -> None:
        self._by_path[""] = self.root
        self.root.expand()
        self._read({""})

    # Reading.

    def _read(self, paths: Iterable[str]) -> None:
        self.run_worker(self._read_all(tuple(paths)), group="listing")

    async def _read_all(self, paths: tuple[str, ...]) -> None:
        for path in paths:
            try:
                entries = await asyncio.to_thread(self._workspace.list_directory, path)
            except TidegateError as error:
                if path in self._by_path and path:
                    self._listings.pop(path, None)
                    self._by_path[path].collapse()
                self.app.notify(str(error), severity="warning")
                continue
            if self._listings.get(path) != entries:
                self._listings[path] = entries
                self._fill(path)

    def _fill(self, path: str, shown: int = _PORTION) -> None:
        """Put the names in `path` under its node; folders that were open stay open."""
        node = self._by_path.get(path)
        if node is None:
            return
        here = self.cursor_node.data if self.cursor_node is not None else None
        if self._filtered is not None:
            return
        entries = [e for e in self._listings[path] if self._is_shown(e)]
        inside = f"{path}/" if path else ""
        open_folders = [p for p, n in self._by_path.items() if p and p.startswith(inside) and n.is_expanded]
        for known in [p for p in self._by_path if p and p.startswith(inside)]:
            del self._by_path[known]
        node.remove_children()
        for entry in entries[:shown]:
            child = node.add(Text(visible(entry.name)), entry, allow_expand=entry.is_directory)
            self._by_path[entry.path] = child
        if len(entries) > shown:
            node.add_leaf(f"… {len(entries) - shown:,} more", None)
        for folder in sorted(open_folders):
            if folder in self._by_path:
                self._by_path[folder].expand()
                if folder in self._listings:
                    self._fill(folder)
        if here is not None and here.path in self._by_path:
            self._go_to(here.path)
        elif self.cursor_line < 0 and node is self.root and entries:
            self.cursor_line = 0

    def _is_shown(self, entry: DirectoryEntry) -> bool:
        is_hidden = entry.name.startswith(".")
        return (self.shows_ignored or not entry.is_ignored) and (self.shows_hidden or not is_hidden)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[DirectoryEntry | None]) -> None:
        entry = event.node.data
        if entry is not None and not event.node.children:
            self._read({entry.path})

    def on_tree_node_selected(self, event: Tree.NodeSelected[DirectoryEntry | None]) -> None:
        event.stop()
        entry = event.node.data
        if entry is None:
            parent = event.node.parent
            if parent is not None:
                path = parent.data.path if parent.data is not None else ""
                self._fill(path, len(parent.children) - 1 + _PORTION)
        elif entry.is_directory:
            event.node.toggle()
        else:
            self.post_message(self.FileChosen(entry.path))

    # Filtering, and going to a name.

    @property
    def is_filtered(self) -> bool:
        """Whether only some files are shown."""
        return self._filtered is not None

    def show_only(self, paths: Collection[str] | None, nothing: str = "") -> None:
        """Show only these files and the folders around them, all open; None shows everything again. `nothing`
        is said where there are none."""
        if isinstance(self.parent, Widget):
            is_empty = paths is not None and not paths
            self.parent.border_subtitle = Content(visible(nothing)) if is_empty else ""
        if paths is None:
            if self._filtered is not None:
                here = self.cursor_node.data if self.cursor_node is not None else None
                self._filtered = None
                self._fill("")
                if here is not None:
                    begin_again(self, "reveal", self.reveal, here.path)
            return
        self._filtered = []
        self._by_path = {"": self.root}
        self.root.remove_children()
        for path in sorted(paths, key=lambda path: [(part.casefold(), part) for part in path.split("/")]):
            self._add_filtered(path, is_directory=False)
        if self._filtered:
            first = next(entry for entry in self._filtered if not entry.is_directory)
            self._go_to(first.path)

    def _add_filtered(self, path: str, *, is_directory: bool) -> Node:
        folder, _, name = path.rpartition("/")
        around = self._by_path.get(folder)
        if around is None:
            around = self._add_filtered(folder, is_directory=True)
        entry = DirectoryEntry(name, path, is_directory)
        node = around.add(Text(visible(name)), entry, expand=is_directory, allow_expand=is_directory)
        assert self._filtered is not None
        self._filtered.append(entry)
        self._by_path[path] = node
        return node

    def action_jump(self) -> None:
        self._typed = ("", time.monotonic())

    def on_key(self, event: events.Key) -> None:
        """While a name is being typed, letters are of it."""
        if self._typed is None:
            return
        typed, since = self._typed
        is_late = time.monotonic() - since > _TYPING
        if is_late or not event.is_printable or event.character is None:
            self._typed = None
            return
        event.stop()
        event.prevent_default()
        typed += event.character.casefold()
        self._typed = (typed, time.monotonic())
        lines = [*range(max(0, self.cursor_line), self.last_line + 1), *range(max(0, self.cursor_line))]
        for line in lines:
            node = self.get_node_at_line(line)
            if node is not None and str(node.label).casefold().startswith(typed):
                self.move_cursor(node)
                return

    # What is done to files is somebody else's: of a folder, a new file is in it.

    def _want(self, what: TreeAsks) -> None:
        entry = self.cursor_node.data if self.cursor_node is not None else None
        path = entry.path if entry is not None else ""
        if what == "create" and entry is not None and not entry.is_directory:
            path = path.rpartition("/")[0]
        if path or what in ("create", "undo", "filter"):
            self.post_message(self.WorkWanted(what, path))

    def action_filter(self) -> None:
        self._want("filter")

    def action_create(self) -> None:
        self._want("create")

    def action_rename(self) -> None:
        self._want("rename")

    def action_copy_to(self) -> None:
        self._want("copy")

    def action_delete(self) -> None:
        self._want("throw_away")

    def action_undo(self) -> None:
        self._want("undo")

    def action_stage(self) -> None:
        self._want("stage")

    def action_edit_outside(self) -> None:
        self._want("edit")

    def action_show_outside(self) -> None:
        self._want("show")

    def action_copy_path(self) -> None:
        self._want("copy_path")

    def is_staged(self, path: str) -> bool:
        """Whether all that changed at `path`, or below it, is in the index."""
        files = self._status.files if self._status is not None else {}
        states = [state for name, state in files.items() if name == path or name.startswith(f"{path}/")]
        return bool(states) and all(state.index is not None and state.worktree is None for state in states)

    async def read_again(self, path: str | None) -> None:
        """Read all known folders again, and go to `path`."""
        self._listings = {known: self._listings[known] for known in self._listings if known in self._by_path}
        await self._read_all(tuple(sorted(self._listings)))
        self.post_message(self.ReloadWanted())
        if path is not None:
            await self.reveal(path)

    def changed_on_disk(self, paths: Collection[str]) -> None:
        """Other programs touched `paths`: read again the folders that are known and hold them."""
        folders = {path.rpartition("/")[0] for path in paths}
        known = self._listings.keys()
        self._read(sorted(known if ANYTHING in paths else folders & known))

    async def reveal(self, path: str) -> None:
        """Open the folders around `path` and put the cursor on it."""
        if "" not in self._listings:
            await self._read_all(("",))
        parts = path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in self._listings:
                if folder not in self._by_path:
                    return
                await self._read_all((folder,))
            if folder in self._by_path:
                self._by_path[folder].expand()
        if path in self._by_path:
            self._go_to(path)

    def _go_to(self, path: str) -> None:
        # A node has a line only once the lines were counted, which asking for the last one does.
        if self.last_line >= 0:
            self.move_cursor(self._by_path[path])

    # Looks.

    def set_status(self, status: RepositoryStatus | None) -> None:
        """Mark the files with git's status, and folders with that of the files in them."""
        self._status = status
        touched: dict[str, str] = {}
        for path, state in (status.files if status is not None else {}).items():
            code = state.worktree or state.index
            if code in (None, "ignored"):
                continue
            parent = path.rpartition("/")[0]
            while parent and touched.get(parent) != "conflicted":
                touched[parent] = "conflicted" if code == "conflicted" else "modified"
                parent = parent.rpartition("/")[0]
        self._touched = touched
        self._redraw()

    def _redraw(self) -> None:
        self._invalidate()
        self.refresh()

    def notify_style_update(self) -> None:
        self._palette = None
        super().notify_style_update()

    @property
    def palette(self) -> Palette:
        """The theme's styles."""
        if self._palette is None:
            self._palette = Palette.of(self.app)
        return self._palette

    def get_label_width(self, node: Node) -> int:  # noqa: ARG002
        return 1  # labels are made to fit: nothing scrolls sideways

    def render_label(self, node: Node, base_style: Style, style: Style) -> Text:
        palette = self.palette
        entry = node.data
        name = str(node.label)
        if entry is None:
            return Text.assemble(("  ", base_style), (name, style + palette.muted))
        lead = (self.ICON_NODE_EXPANDED if node.is_expanded else self.ICON_NODE) if entry.is_directory else "  "
        tone, mark, mark_tone = self._look(entry)
        if entry.is_symlink:
            name += " ↗"
        width = self.size.width - self.guide_depth * entry.path.count("/")
        label = Text.assemble((lead, style + palette.muted), (name, style + tone), style=style)
        label.truncate(max(4, width - 3), overflow="ellipsis", pad=True)
        label.append(f" {mark or ' '} ", style + mark_tone)
        return label

    def _look(self, entry: DirectoryEntry) -> tuple[Style, str, Style]:
        """The style of a name, and git's mark with its own style."""
        palette = self.palette
        status = self._status.files.get(entry.path) if self._status is not None else None
        code = (status.worktree or status.index) if status is not None else None
        if entry.is_ignored or code == "ignored":
            return palette.faint, "", Style()
        weight = Style(bold=entry.is_directory or None)
        if status is None or code is None:
            inside = self._touched.get(entry.path)
            tone = palette.error if inside == "conflicted" else palette.accent
            return weight, "•" if inside else "", tone
        tone = {
            "modified": palette.accent,
            "renamed": palette.accent,
            "added": palette.success,
            "untracked": palette.success,
            "deleted": palette.error,
            "conflicted": palette.error,
        }[code]
        is_staged = status.index is not None and status.worktree is None
        return tone + weight, _MARKS[code], tone + Style(bold=is_staged or None)

    # Actions.

    def action_close_folder(self) -> None:
        node = self.cursor_node
        if node is None:
            return
        if node.is_expanded and node.allow_expand:
            node.collapse()
        elif node.parent is not None and node.parent is not self.root:
            self.move_cursor(node.parent)

    def action_toggle_ignored(self) -> None:
        self.shows_ignored = not self.shows_ignored
        if "" in self._listings:
            self._fill("")
        words = "shown" if self.shows_ignored else "hidden"
        self.app.notify(f"Ignored files are {words}.", timeout=2)

    def action_toggle_hidden(self) -> None:
        self.shows_hidden = not self.shows_hidden
        if "" in self._listings:
            self._fill("")
        words = "shown" if self.shows_hidden else "hidden"
        self.app.notify(f"Names that begin with a dot are {words}.", timeout=2)

    def action_reload(self) -> None:
        self._read(sorted(self._listings))
        self.post_message(self.ReloadWanted())

    def action_scroll_home(self) -> None:
        self.cursor_line = 0

    def action_scroll_end(self) -> None:
        self.cursor_line = self.last_line
