"""Pictures on disk: what was kept comes back, for that directory, size and terminal alone, or nothing does."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.first_frame import picture as pictures
from app.first_frame.picture import Field, Picture, read_picture, remove_pictures, write_picture

FIELD = Field(74, 36, 44, "\x1b[38;2;1;2;3m", "\x1b[7m")
ROOT, SIZE = Path("/project"), (120, 40)


@pytest.mark.parametrize("field", [FIELD, None])
def test_a_picture_comes_back_where_it_belongs_and_nowhere_else(
    home: Path, monkeypatch: pytest.MonkeyPatch, field: Field | None
) -> None:
    kept = Picture("\x1b[1;1H╭─\r\n\n x", field)
    write_picture(ROOT, SIZE, kept)
    assert read_picture(ROOT, SIZE) == kept
    assert read_picture(ROOT, (80, 24)) is None
    assert read_picture(Path("/other"), SIZE) is None
    monkeypatch.setenv("NO_COLOR", "1")
    assert read_picture(ROOT, SIZE) is None
    (file,) = home.rglob("*.picture")
    assert file.stat().st_mode & 0o777 == 0o600
    remove_pictures(Path("/other"))
    assert file.exists()
    remove_pictures(ROOT)
    assert not file.exists()


@given(st.data())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_picture_is_none(home: Path, data: st.DataObject) -> None:
    write_picture(ROOT, SIZE, Picture("drawing " * 9, FIELD))
    (file,) = home.rglob("*.picture")
    whole = file.read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))] + data.draw(st.binary(max_size=4)))
    found = read_picture(ROOT, SIZE)
    assert found is None or len(found.drawing) == len("drawing " * 9)


def test_only_so_many_are_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MOST_KEPT", 3)
    for columns in range(80, 86):
        write_picture(ROOT, (columns, 24), Picture("x", None))
    assert len(list(home.rglob("*.picture"))) == 3
    assert read_picture(ROOT, (85, 24)) is not None
