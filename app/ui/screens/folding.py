"""Which of the three panes are on the screen, and how wide each is."""

from textual.containers import Container
from textual.geometry import Size

WIDE, MEDIUM = 140, 100  # columns from which three panes are comfortable, and from which they are possible
_TREE_AND_MORE = 60  # columns from which the tree, called for, leaves room for another pane

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

    @property
    def shows_tree(self) -> bool:
        """Whether the tree is on the screen."""
        return self.panes["tree"].display

    @property
    def covers_with_tree(self) -> bool:
        """Whether the tree was called for where it takes another pane's room."""
        return self._wants_tree and self._size.width < MEDIUM

    def fit(self, size: Size) -> None:
        """Show as many panes as there is room for in `size`, each as wide as it can use."""
        self._size = size
        width = size.width
        shown = set(NAMES)
        if self._zoomed is not None:
            shown = {self._zoomed}
        elif width >= MEDIUM:
            shown -= {"tree"} if self._hides_tree else set()
        else:
            shown = {self.main}
            if self._wants_tree:
                shown = {"tree"} if width < _TREE_AND_MORE else {"tree", self.main}
        tree, centre, agent = (self.panes[name] for name in NAMES)
        for name, pane in self.panes.items():
            pane.display = name in shown
        narrow = 24 if width >= 120 or width < MEDIUM else 20
        tree.styles.width = "1fr" if shown == {"tree"} else (32 if width >= WIDE else narrow)
        agent.styles.width = "1fr" if "centre" not in shown else max(36, min(84, round(width * 0.35)))
        centre.styles.width = "1fr"

    def reveal(self, pane: str) -> None:
        """Make sure that `pane` is on the screen."""
        if self._zoomed is not None:
            self._zoomed = pane
        if pane == "tree":
            self._hides_tree, self._wants_tree = False, True
        else:
            self.main = pane
            if self._size.width < MEDIUM:
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
