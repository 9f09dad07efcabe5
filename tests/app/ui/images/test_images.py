"""Images: which terminal is given them and how, and a pane that has one drawn and put away."""

import base64
import re
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from app.ui.images.protocols import MOST_CELLS, cells_for, kitty_row, kitty_sent, protocol_of
from tests.support.ui.pictures import picture_of, text_of
from tests.support.ui.screen import Stage


def png(width: int, height: int) -> bytes:
    """A black image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress((b"\0" + bytes(width)) * height, 0)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty", "TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "iterm"),  # over ssh
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, None),
        # Begun from a shell in kitty, and another terminal all the same.
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "KITTY_WINDOW_ID": "1"}, None),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/s", "KITTY_WINDOW_ID": "1"}, None),
        ({}, None),
    ],
)
def test_a_terminal_is_known_by_what_it_says(environ: dict[str, str], wanted: str | None) -> None:
    assert protocol_of(environ) == wanted


SIDES = st.integers(1, 20_000)


@given(SIDES, SIDES, st.integers(1, 300), st.integers(1, 300))
def test_an_image_fits_its_room_in_its_own_ratio(width: int, height: int, columns: int, rows: int) -> None:
    wide, high = cells_for(width, height, columns, rows)
    assert 1 <= wide <= min(columns, MOST_CELLS) and 1 <= high <= min(rows, MOST_CELLS)
    # As near to the ratio as whole cells are: half a cell off on either side.
    if wide > 1 and high > 1:
        assert (wide - 0.5) * height / width / 2 - 0.51 <= high <= (wide + 0.5) * height / width / 2 + 0.51


def test_kitty_gets_all_bytes_in_portions_and_a_place_for_each_cell() -> None:
    data = png(200, 90)
    sent = list(kitty_sent(7, data, 30, 6))
    parts = [re.fullmatch("\x1b_G([^;]*);([^\x1b]*)\x1b\\\\", one) for one in sent]
    assert len(parts) > 1 and base64.b64decode("".join(part[2] for part in parts if part)) == data
    assert all(part is not None and len(part[2]) <= 4096 for part in parts)
    assert [part[1][-3:] for part in parts if part] == ["m=1"] * (len(parts) - 1) + ["m=0"]
    assert len({kitty_row(row, MOST_CELLS) for row in range(MOST_CELLS)}) == MOST_CELLS
    assert cell_len(kitty_row(3, MOST_CELLS)) == MOST_CELLS


@pytest.mark.parametrize(("term", "begins"), [("xterm-kitty", "\x1b_Ga=T"), ("wezterm", "\x1b]1337;File=")])
async def test_an_image_is_drawn_and_put_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str, begins: str
) -> None:
    monkeypatch.setenv("TERM", term)
    for name in ("TMUX", "TERM_PROGRAM", "LC_TERMINAL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "a.png").write_bytes(png(160, 80))
    (tmp_path / "b.txt").write_text("plain\n")
    written: list[str] = []
    monkeypatch.setattr("app.ui.base.ActionApp.write_to_terminal", lambda _app, text: written.append(text))
    async with Stage(tmp_path, show_file="a.png").run() as stage:
        await stage.until(lambda: any(begins in one for one in written), "the image")
        assert "160 × 80 pixels" in text_of(picture_of(stage.app))
        if term == "xterm-kitty":
            await stage.until(lambda: kitty_row(4, 20) in text_of(picture_of(stage.app)), "its places")
        stage.screen.open_file("b.txt")
        await stage.until(lambda: "plain" in text_of(picture_of(stage.app)))
        image = stage.screen.viewer.query_one("#viewer-image")
        await stage.until(lambda: not image.display, "the end of the image")
        assert term != "xterm-kitty" or any("\x1b_Ga=d" in one for one in written)
