"""The bytes by which a terminal shows a notification, by what the terminal knows. Pure.

OSC 9 is iTerm2's (iterm2.com/documentation-escape-codes.html), OSC 777 is rxvt-unicode's (its perl extension),
OSC 99 is kitty's desktop notifications (sw.kovidgoyal.net/kitty/desktop-notifications). In tmux they go to the
terminal behind it in its passthrough sequence, which tmux obeys with `set -g allow-passthrough on`.
"""

from collections.abc import Mapping
from typing import Literal

Protocol = Literal["osc 9", "osc 99", "osc 777"]

BELL = "\x07"
_END = "\x1b\\"
# Terminals by the beginning of TERM, and of TERM_PROGRAM or LC_TERMINAL (which ssh hands on).
_BY_TERM: dict[str, Protocol] = {
    "xterm-kitty": "osc 99",
    "xterm-ghostty": "osc 9",
    "wezterm": "osc 9",
    "rxvt": "osc 777",
    "foot": "osc 777",
    "contour": "osc 777",
}
_BY_PROGRAM: dict[str, Protocol] = {
    "iterm": "osc 9",
    "wezterm": "osc 9",
    "ghostty": "osc 9",
    "warpterminal": "osc 777",
    "kitty": "osc 99",
}
# And by a variable that they set.
_BY_VARIABLE: dict[str, Protocol] = {
    "KITTY_WINDOW_ID": "osc 99",
    "GHOSTTY_RESOURCES_DIR": "osc 9",
    "WEZTERM_PANE": "osc 9",
    "ITERM_SESSION_ID": "osc 9",
    "VTE_VERSION": "osc 777",
}


def protocol_of(environ: Mapping[str, str], outer_term: str = "") -> Protocol | None:
    """How the terminal is told; None where it has the bell alone. `outer_term` is TERM of the terminal behind
    tmux, where that is known."""
    terms = (outer_term, environ.get("TERM", ""))
    programs = (environ.get("TERM_PROGRAM", ""), environ.get("LC_TERMINAL", ""))
    for names, known in ((terms, _BY_TERM), (programs, _BY_PROGRAM)):
        for name in names:
            for beginning, protocol in known.items():
                if name.lower().startswith(beginning):
                    return protocol
    return next((protocol for name, protocol in _BY_VARIABLE.items() if environ.get(name)), None)


def is_in_tmux(environ: Mapping[str, str]) -> bool:
    """Whether tmux is between here and the terminal."""
    return bool(environ.get("TMUX"))


def notification(protocol: Protocol, title: str, body: str, *, in_tmux: bool) -> str:
    """The sequence that shows a notification."""
    title, body = _plain(title), _plain(body)
    if protocol == "osc 9":
        sequence = f"\x1b]9;{title}: {body}{_END}"
    elif protocol == "osc 777":
        sequence = f"\x1b]777;notify;{title.replace(';', ',')};{body}{_END}"
    else:
        sequence = f"\x1b]99;i=tidegate:d=0;{title}{_END}\x1b]99;i=tidegate:d=1:p=body;{body}{_END}"
    return _through_tmux(sequence) if in_tmux else sequence


def _through_tmux(sequence: str) -> str:
    parts = [part + _END for part in sequence.split(_END) if part]
    return "".join("\x1bPtmux;" + part.replace("\x1b", "\x1b\x1b") + _END for part in parts)


def _plain(text: str) -> str:
    """`text` without anything that would end the sequence or be obeyed."""
    return "".join(character if character.isprintable() else " " for character in text)
