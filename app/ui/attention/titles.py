"""The window's title and tmux's name of the window: what they say, and the bytes that set and restore them.

Setting is xterm's OSC 2; pushing and popping is its XTWINOPS 22 and 23 (invisible-island.net, ctlseqs), which
tmux has too. tmux's own sequence for the name of a window is ESC k (tmux(1), NAMES AND TITLES), which it obeys
with `set -g allow-rename on`; an empty name gives the choice of it back to tmux. Pure.
"""

PUSH = "\x1b[22;0t"
POP = "\x1b[23;0t"
_END = "\x1b\\"


def title_of(root: str, *, is_asking: bool, is_working: bool) -> str:
    """What the title says of the agent in the directory called `root`."""
    if is_asking:
        return f"● {root} – tidegate asks you"
    return f"{root} – tidegate{' works' if is_working else ''}"


def set_title(title: str) -> str:
    """The sequence that sets the window's title; in tmux, its pane's."""
    return f"\x1b]2;{_plain(title)}{_END}"


def set_window_name(name: str) -> str:
    """The sequence that sets tmux's name of the window."""
    return f"\x1bk{_plain(name)}{_END}"


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
