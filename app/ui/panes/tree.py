"""The files, with what git says of each."""

import asyncio
from collections.abc import Collection, Iterable
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from app.errors import TidegateError
from app.ui.actions import bindings
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible
from app.workspace.model import DirectoryEntry, RepositoryStatus, StatusCode
from app.workspace.watch import ANYTHING
from app.workspace.workspace import Workspace

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
        entries = [e for e in self._listings[path] if self.shows_ignored or not e.is_ignored]
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

    def changed_on_disk(self, paths: Collection[str]) -> None:
        """Other programs touched `paths`: read again the folders that are known and hold them."""
        folders = {path.rpartition("/")[0] for path in paths}
        known = self._listings.keys()
        self._read(sorted(known if ANYTHING in paths else folders & known))

    async def reveal(self, path: str) -> None:
        """Open the folders around `path` and put the cursor on it."""
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

    def action_reload(self) -> None:
        self._read(sorted(self._listings))
        self.post_message(self.ReloadWanted())

    def action_scroll_home(self) -> None:
        self.cursor_line = 0

    def action_scroll_end(self) -> None:
        self.cursor_line = self.last_line
