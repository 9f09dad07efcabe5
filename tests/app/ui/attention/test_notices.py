"""Which terminal is told in which way, and that nothing in what is told ends the sequence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ui.attention.notices import notification, protocol_of
from app.ui.attention.titles import set_title, set_window_name, title_of

KNOWN = [
    ({"TERM": "xterm-kitty"}, "osc 99"),
    ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "osc 9"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "osc 9"),
    ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "osc 9"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "osc 9"),
    ({"TERM": "rxvt-unicode-256color"}, "osc 777"),
    ({"TERM": "foot"}, "osc 777"),
    ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, "osc 777"),
    ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, None),
    ({"TERM": "xterm-256color"}, None),
    ({"TERM": "tmux-256color", "TERM_PROGRAM": "tmux", "KITTY_WINDOW_ID": "1"}, "osc 99"),
]


@pytest.mark.parametrize(("environ", "protocol"), KNOWN)
def test_a_terminal_is_told_in_the_way_that_it_knows(environ: dict[str, str], protocol: str | None) -> None:
    assert protocol_of(environ) == protocol


def test_behind_tmux_the_terminal_decides() -> None:
    environ = {"TERM": "tmux-256color", "TERM_PROGRAM": "tmux"}
    assert protocol_of(environ, "foot") == "osc 777" and protocol_of(environ) is None
    shown = notification("osc 9", "t", "b", in_tmux=True)
    assert shown == "\x1bPtmux;\x1b\x1b]9;t: b\x1b\x1b\\\x1b\\"


@given(st.text(max_size=30), st.sampled_from(["osc 9", "osc 99", "osc 777"]), st.booleans())
def test_what_is_told_cannot_end_the_sequence(text: str, protocol: str, in_tmux: bool) -> None:
    plain = notification(protocol, "t", "", in_tmux=in_tmux)  # type: ignore[arg-type]
    told = notification(protocol, "t", text, in_tmux=in_tmux)  # type: ignore[arg-type]
    controls = [character for character in told if not character.isprintable()]
    assert controls == [character for character in plain if not character.isprintable()]
    for sequence in (set_title(text), set_window_name(text)):
        assert sequence[2:-2].isprintable()


def test_the_title_says_how_it_stands() -> None:
    assert title_of("sums", is_asking=True, is_working=True) == "● sums – tidegate asks you"
    assert title_of("sums", is_asking=False, is_working=True) == "sums – tidegate works"
    assert title_of("sums", is_asking=False, is_working=False) == "sums – tidegate"
