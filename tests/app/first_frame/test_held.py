"""The terminal before the application has it: a picture on it, keys kept, and all put back if nothing comes."""

import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from app.first_frame.held import _is_part
from app.first_frame.picture import Field, Picture, write_picture
from tests.support.ui.terminal import Terminal

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
DRAWING = "\x1b[1;1Hfiles\x1b[3;5HAsk for something"
PROGRAM = """
import os, sys, termios, time
from pathlib import Path
from app.first_frame.held import holding, take_over
from app.first_frame.picture import read_picture
before = termios.tcgetattr(0)
with holding(read_picture(Path("/project"), (40, 5))):
    print("held", flush=True)
    while not Path("go").exists():
        time.sleep(0.01)
    if sys.argv[1] == "takes":
        held = take_over()
        typed = held.take()
        while not typed.endswith("\\r"):  # still on its way through the terminal
            typed += os.read(0, 100).decode()
        assert held.attributes == before
        termios.tcsetattr(0, termios.TCSANOW, before)
    elif sys.argv[1] == "fails":
        sys.exit("tidegate: it cannot be opened")
assert termios.tcgetattr(0) == before
print("typed", ascii(typed) if sys.argv[1] == "takes" else "nothing")
"""


@pytest.fixture
def kept() -> None:
    write_picture(Path("/project"), (40, 5), Picture(DRAWING, Field(4, 2, 20, "\x1b[1m", "\x1b[7m")))


def start(how: str, directory: Path) -> Terminal:
    return Terminal([sys.executable, "-c", PROGRAM, how], directory, columns=40, rows=5)


@pytest.mark.usefixtures("kept")
def test_what_is_typed_shows_in_the_field_and_goes_to_whoever_takes_over(tmp_path: Path) -> None:
    with start("takes", tmp_path) as terminal:
        terminal.wait_for("held")
        assert terminal.received.startswith(ENTER + b"\x1b[?25l" + DRAWING.encode())
        terminal.type("mend ti")
        terminal.wait_for("    mend ti             ")
        # A key that is no text ends the echo, and is kept whole with what follows.
        terminal.type("\x7f\x7fi\x1b[Dé\x1bOP\r")
        terminal.wait_for("    mend i              ")
        (tmp_path / "go").touch()
        assert terminal.wait_closed() == 0
    assert rb"typed 'mend ti\x7f\x7fi\x1b[D\xe9\x1bOP\r'" in terminal.received
    assert LEAVE not in terminal.received  # whoever took it over leaves it


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("how", ["fails", "does nothing"])
def test_the_terminal_is_put_back_where_nobody_takes_over(how: str, tmp_path: Path) -> None:
    with start(how, tmp_path) as terminal:
        terminal.wait_for("held")
        (tmp_path / "go").touch()
        assert terminal.wait_closed() == (1 if how == "fails" else 0)
    shown, _, after = terminal.received.partition(LEAVE)
    assert shown.startswith(ENTER) and after.startswith(b"\x1b[?25h")
    assert (b"cannot be opened" if how == "fails" else b"typed nothing") in after


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("end", ["\x03", signal.SIGTERM])
def test_ctrl_c_or_a_signal_puts_the_terminal_back_and_ends_the_start(
    end: str | signal.Signals, tmp_path: Path
) -> None:
    with start("waits", tmp_path) as terminal:
        terminal.wait_for("held")
        if isinstance(end, signal.Signals):
            terminal.signal(end)
        else:
            terminal.type(end)
        terminal.wait_for(lambda _: LEAVE in terminal.received)
        with suppress(AssertionError):  # which says by what signal it ended
            terminal.wait_closed()
        assert not terminal.is_running


def test_without_a_picture_nothing_is_drawn_and_keys_are_kept(tmp_path: Path) -> None:
    with start("takes", tmp_path) as terminal:
        terminal.wait_for("held")
        terminal.type("abc\r")
        (tmp_path / "go").touch()
        terminal.wait_for(r"typed 'abc\r'")
        assert terminal.wait_closed() == 0
    assert b"\x1b" not in terminal.received


@pytest.mark.parametrize("key", ["a", "é", "漢", "\U0001f600", "\x1b[A", "\x1b[1;5C", "\x1bOP", "\x1b[200~"])
def test_a_key_is_never_cut_in_two(key: str) -> None:
    whole = key.encode()
    assert not _is_part(b"x" + whole)
    assert all(_is_part(b"x" + whole[:length]) for length in range(1, len(whole)))
