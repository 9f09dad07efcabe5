"""The emulated terminal, against what xterm does and against itself."""

from itertools import pairwise

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.terminal.flood import thinned
from app.terminal.keys import key_bytes, mouse_bytes, paste_bytes
from app.terminal.screen import MOST_HISTORY, TerminalScreen
from app.terminal.stream import TerminalStream

PIECES = st.sampled_from(
    [
        *("a", "word ", "\r\n", "\n", "\r", "\b", "\t", "日", "e\u0301", "👩\u200d💻", "\u200b", "x" * 30),
        *(
            "\x1b[A",
            "\x1b[3B",
            "\x1b[2C",
            "\x1b[D",
            "\x1b[H",
            "\x1b[2;4H",
            "\x1b[J",
            "\x1b[1J",
            "\x1b[2J",
            "\x1b[3J",
        ),
        *(
            "\x1b[K",
            "\x1b[1K",
            "\x1b[L",
            "\x1b[2M",
            "\x1b[P",
            "\x1b[@",
            "\x1b[3X",
            "\x1b[2S",
            "\x1b[T",
            "\x1b[4b",
        ),
        *(
            "\x1b[2;3r",
            "\x1b[r",
            "\x1b7",
            "\x1b8",
            "\x1bM",
            "\x1bD",
            "\x1bc",
            "\x1b[?6h",
            "\x1b[6n",
            "\x1b[c",
            "\x1b[>c",
        ),
        *(
            "\x1b[31;1m",
            "\x1b[38;5;200m",
            "\x1b[48;2;1;2;3m",
            "\x1b[4:3m",
            "\x1b[58:2::1:2:3m",
            "\x1b[m",
            "\x1b[38m",
        ),
        *(
            "\x1b[?1049h",
            "\x1b[?1049l",
            "\x1b[?7l",
            "\x1b[?7h",
            "\x1b[4h",
            "\x1b[4l",
            "\x1b[?3h",
            "\x1b[?1000h",
        ),
        *(
            "\x1b]0;title\x07",
            "\x1b]11;?\x1b\\",
            "\x1bP+q\x1b\\",
            "\x1b(0q\x1b(B",
            "\x1b[>4;2m",
            "\x1b[?2026$p",
            "\x1b",
        ),
    ]
)


def fed(*pieces: bytes, columns: int = 10, lines: int = 4) -> TerminalScreen:
    screen = TerminalScreen(columns, lines)
    stream = TerminalStream(screen)
    stream.colours = {"background": "102030"}
    for piece in pieces:
        stream.feed(piece)
    return screen


def state(screen: TerminalScreen) -> tuple[object, ...]:
    cells = [tuple(screen.cells(row)) for row in range(screen.row_count)]
    return cells, screen.cursor.x, screen.cursor.y, screen.private, "".join(screen.replies), screen.title


@settings(max_examples=60, deadline=None)
@given(
    st.lists(PIECES, max_size=40),
    st.lists(st.integers(0, 200), max_size=4),
    st.integers(1, 12),
    st.integers(1, 6),
)
def test_any_output_cut_anywhere_gives_one_screen(
    pieces: list[str], cuts: list[int], columns: int, lines: int
) -> None:
    data = "".join(pieces).encode()
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole = fed(data, columns=columns, lines=lines)
    cut = fed(*(data[start:end] for start, end in pairwise(places)), columns=columns, lines=lines)
    assert state(whole) == state(cut)
    assert 0 <= whole.cursor.y < lines and 0 <= whole.cursor.x <= columns
    whole.resize(lines + 1, columns + 2)
    whole.resize(1, 1)
    assert whole.cursor.y == 0


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["ab", "word word ", "\r\n", "\x1b[2;3H", "\x1b[K", "\x1b[31m", "\x1b[m", "日"]),
        max_size=30,
    )
)
def test_what_pyte_draws_by_character_is_drawn_by_run(pieces: list[str]) -> None:
    text = "".join(pieces)
    oracle = pyte.Screen(12, 5)
    pyte.Stream(oracle).feed(text)
    screen = fed(text.encode(), columns=12, lines=5)
    for line in range(5):
        drawn = [oracle.buffer[line][column] for column in range(12)]
        assert list(screen.cells(screen.first_row + line)) == drawn


def test_a_full_screen_program_leaves_the_screen_as_it_was() -> None:
    screen = fed(b"one\r\ntwo", b"\x1b[?1049h\x1b[2J\x1b[Hfull\r\n\n\n\n\n\n", b"\x1b[?1049l", b"!")
    assert [screen.text(row) for row in range(screen.row_count)] == ["one", "two!", "", ""]


def test_lines_go_to_the_history_and_the_prompt_stays_when_the_pane_gets_lower() -> None:
    screen = fed(b"1\r\n2\r\n3\r\n4\r\n5\r\n$ ")
    assert [screen.text(row) for row in range(screen.row_count)] == ["1", "2", "3", "4", "5", "$"]
    screen.resize(2, 10)
    assert screen.text(screen.first_row + 1) == "$" and screen.row_count == 6
    screen.resize(4, 3)
    screen.resize(4, 10)
    assert screen.text(0) == "1"
    low = fed(b"$ ")
    low.resize(2, 10)
    assert low.text(0) == "$" and not low.history  # nothing above the cursor, so nothing scrolls away


def test_programs_are_answered_and_their_private_sequences_are_not_styles() -> None:
    screen = fed(b"\x1b[>4;2m\x1b[?2026$p\x1b]11;?\x07\x1b[6n\x1bPq#0;2;0\x1b\\x")
    assert screen.text(0) == "x" and not screen.buffer[0][0].underscore
    answers = "".join(screen.replies)
    assert answers == "\x1b[?2026;0$y\x1b]11;rgb:1010/2020/3030\x1b\\\x1b[1;1R"


@pytest.mark.slow
def test_a_flood_is_thinned_to_what_is_remembered() -> None:
    flood = b"".join(b"\x1b[31m%d and more to fill the line\r\n" % number for number in range(60_000))
    rest = thinned(flood, 4)
    assert len(rest) < len(flood) / 4
    assert state(fed(rest)) == state(fed(flood))
    assert len(fed(rest).history) == MOST_HISTORY
    moving = flood.replace(b"\x1b[31m1 and", b"\x1b[2J\x1b[31m1 and", 1)
    assert thinned(moving, 4) == moving


def test_keys_are_sent_as_xterm_sends_them() -> None:
    sent = [
        *(
            key_bytes("a", "a", ()),
            key_bytes("ctrl+c", None, ()),
            key_bytes("up", None, ()),
            key_bytes("up", None, {1}),
        ),
        *(key_bytes("shift+left", None, {1}), key_bytes("f1", None, ()), key_bytes("ctrl+f5", None, ())),
        *(key_bytes("alt+b", None, ()), key_bytes("shift+tab", None, ()), key_bytes("ctrl+at", None, ())),
        *(key_bytes("enter", "\r", ()), key_bytes("upper_e_acute", "É", ())),
    ]
    assert sent == [
        *(
            b"a",
            b"\x03",
            b"\x1b[A",
            b"\x1bOA",
            b"\x1b[1;2D",
            b"\x1bOP",
            b"\x1b[15;5~",
            b"\x1bb",
            b"\x1b[Z",
            b"\0",
        ),
        *(b"\r", "É".encode()),
    ]
    assert (
        paste_bytes("a\nb\x1b[201~c", {2004}) == b"\x1b[200~a\rbc\x1b[201~" and paste_bytes("a\n", ()) == b"a\r"
    )
    assert mouse_bytes(0, 4, 1, {1000, 1006}) == b"\x1b[<0;5;2M"
    assert mouse_bytes(0, 4, 1, {1000}, released=True) == b'\x1b[M#%"'
    assert mouse_bytes(3, 4, 1, {1002}, moved=True) == b"" and mouse_bytes(3, 4, 1, {1003, 1006}, moved=True)
