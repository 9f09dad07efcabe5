"""Which of the three panes are on the screen, and how wide each is."""

from collections.abc import Mapping
from itertools import pairwise

from textual.containers import Container
from textual.geometry import Size

WIDE = 140  # columns from which three panes are comfortable
# Columns in which a conversation and code can be read; the tree gives way first. A user may make the panes
# narrower than that, but not without limit.
_TREE, _CENTRE, _AGENT = 16, 44, 48
_LEAST_CENTRE, _LEAST_AGENT = 40, 30
_AGENTS_SHARE, _MOST_AGENT = 0.35, 84
MEDIUM = _CENTRE + _AGENT + 8  # columns from which centre and agent are beside each other
_THREE = _TREE + _CENTRE + _AGENT  # columns from which the tree is beside them
_TREE_AND_MORE = 60  # columns from which the tree, called for, leaves room for another pane
STEP = 4  # columns by which a key makes a pane wider

NAMES = ("tree", "centre", "agent")


class Folding:
    """The containers of the panes, displayed as the room and the user want it."""

    def __init__(self) -> None:
        self.panes = {name: Container(id=f"{name}-pane", classes="pane") for name in NAMES}
        self.main = "agent"
        """Of centre and agent, the one that is shown where there is room for one."""
        self._size = Size(0, 0)
        self._hides_tree = False  # where there is room for it
        self._wants_tree = False  # where there is not
        self._zoomed: str | None = None
        self.widths: dict[str, int] = {}
        """The columns that the user gave to tree and agent."""

    @property
    def shows_tree(self) -> bool:
        """Whether the tree is on the screen."""
        return self.panes["tree"].display

    @property
    def covers_with_tree(self) -> bool:
        """Whether the tree was called for where it takes another pane's room."""
        return self._wants_tree and self._size.width < _THREE

    def fit(self, size: Size) -> None:
        """Show as many panes as there is room for in `size`, each as wide as it can use."""
        self._size = size
        width = size.width
        shown = set(NAMES)
        if self._zoomed is not None:
            shown = {self._zoomed}
        elif width >= _THREE:
            shown -= {"tree"} if self._hides_tree else set()
        elif width >= MEDIUM:
            shown -= {self._other_than_main if self._wants_tree else "tree"}
        else:
            shown = {self.main}
            if self._wants_tree:
                shown = {"tree"} if width < _TREE_AND_MORE else {"tree", self.main}
        for name, pane in self.panes.items():
            pane.display = name in shown
        tree, agent = self._shares(width, shown)
        self.panes["tree"].styles.width = "1fr" if shown == {"tree"} else tree
        self.panes["agent"].styles.width = "1fr" if "centre" not in shown else agent
        self.panes["centre"].styles.width = "1fr"

    @property
    def _other_than_main(self) -> str:
        return "centre" if self.main == "agent" else "agent"

    def _shares(self, width: int, shown: set[str]) -> tuple[int, int]:
        """The columns of tree and agent; the centre has the rest."""
        least_tree = _TREE if "tree" in shown else 0
        if "agent" in self.widths:
            most = width - _LEAST_CENTRE - least_tree
            agent = max(_LEAST_AGENT, min(self.widths["agent"], most))
        else:
            agent = max(_AGENT, min(_MOST_AGENT, round(width * _AGENTS_SHARE)))
        beside = [agent if name == "agent" else _LEAST_CENTRE for name in shown - {"tree"}]
        if "tree" in self.widths:
            return max(_TREE, min(self.widths["tree"], width - sum(beside))), agent
        wanted = 32 if width >= WIDE else 24
        room = width - sum(beside) - (_CENTRE + 6 - _LEAST_CENTRE if "centre" in shown else 0)
        return max(_TREE, min(wanted, room)), agent

    def resize(self, pane: str, columns: int) -> None:
        """Make `pane` wider by so many columns, or narrower, as far as the others allow."""
        shown = {name for name in NAMES if self.panes[name].display}
        if len(shown) < 2:
            return
        tree, agent = self._shares(self._size.width, shown)
        if pane == "tree" or (pane == "centre" and "agent" not in shown) or "centre" not in shown:
            change = columns if pane == "tree" else -columns
            self.widths["tree"] = tree + change
        else:
            self.widths["agent"] = agent + (columns if pane == "agent" else -columns)
        # What the others do not allow is not remembered either.
        fitting = self._shares(self._size.width, shown)
        for name, share in zip(("tree", "agent"), fitting, strict=True):
            if name in self.widths and name in shown:
                self.widths[name] = share
        self.fit(self._size)

    def border_at(self, column: int) -> str | None:
        """The pane (tree or agent) whose width changes by dragging the border in this column of the screen."""
        shown = [name for name in NAMES if self.panes[name].display]
        for left, right in pairwise(shown):
            edge = self.panes[right].region.x
            if column in (edge - 1, edge):
                return left if left == "tree" else "agent"
        return None

    def drag(self, pane: str, column: int) -> None:
        """Bring the border of `pane` to this column."""
        region = self.panes[pane].region
        self.resize(pane, column - region.right + 1 if pane == "tree" else region.x - column)

    def take_widths(self, widths: Mapping[str, int]) -> None:
        """Begin with what was chosen earlier."""
        self.widths = {name: width for name, width in widths.items() if name in ("tree", "agent")}

    def reveal(self, pane: str) -> None:
        """Make sure that `pane` is on the screen."""
        if self._zoomed is not None:
            self._zoomed = pane
        if pane == "tree":
            self._hides_tree, self._wants_tree = False, True
        else:
            self.main = pane
            if self._size.width < _THREE:
                self._wants_tree = False
        self.fit(self._size)

    def hide_tree(self) -> None:
        """Leave the tree's room to the others."""
        self._hides_tree, self._wants_tree = True, False
        if self._zoomed == "tree":
            self._zoomed = None
        self.fit(self._size)

    def zoom(self, pane: str) -> None:
        """Give `pane` the whole width."""
        self._zoomed = pane
        self.fit(self._size)

    def unzoom(self) -> bool:
        """Give a zoomed pane its own width again. False if none is."""
        was, self._zoomed = self._zoomed is not None, None
        self.fit(self._size)
        return was
