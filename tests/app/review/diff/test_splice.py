"""Other words for a hunk, in the place where it stands."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.diff.compare import file_change
from app.review.diff.edited_hunk import with_new_side
from app.review.diff.patch import build_patch, whole
from app.review.diff.splice import new_side, splice
from app.review.disk import WorkTree
from app.review.errors import ReviewError
from app.review.model import FileImage
from tests.support.review.review_cases import git

LINES = st.lists(st.sampled_from(["a", "b", "é漢", "", "  c"]), max_size=14)


@settings(max_examples=100, deadline=None)
@given(
    LINES,
    LINES,
    st.lists(st.sampled_from(["x", "é", "  y"]), max_size=4),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.integers(0, 3),
)
def test_a_hunk_becomes_what_was_written_and_the_rest_stays(  # noqa: PLR0917
    tmp_path_factory: pytest.TempPathFactory,
    before: list[str],
    after: list[str],
    wanted: list[str],
    ending: str,
    newline: bool,
    place: int,
) -> None:

    def image(lines: list[str]) -> FileImage:
        text = "".join(line + ending for line in lines)
        return FileImage((text if newline else text.removesuffix(ending)).encode())

    change = file_change("f", image(before), image(after))
    hunks = [hunk for hunk in change.hunks if hunk.lines] if change is not None else []
    if change is None or not hunks:
        return
    hunk = hunks[place % len(hunks)]
    root = tmp_path_factory.mktemp("splice")
    disk = WorkTree(root)
    disk.write("f", image(after))
    # Unedited, the file stays as it is, byte for byte.
    splice(disk, change, hunk, new_side(change, hunk))
    assert (root / "f").read_bytes() == image(after).data
    splice(disk, change, hunk, "\n".join(wanted))
    start = hunk.after_start - bool(hunk.after_count)
    lines = image(after).data.decode().removesuffix(ending).split(ending) if image(after).data else []
    lines[start : start + hunk.after_count] = wanted
    spliced = (root / "f").read_bytes()
    found = spliced.decode().replace("\r\n", "\n").removesuffix("\n")
    assert found == "\n".join(lines)
    # Edited in a patch that git then applies, it comes to the same; a process each, so not every time.
    if place:
        return
    try:
        edited = with_new_side(change, hunk, "\n".join(wanted))
    except ReviewError:
        assert hunk.before_count == len(wanted)
        return
    disk.write("f", image(before))
    git(root, "apply", "--unidiff-zero", "--whitespace=nowarn", data=build_patch(edited, whole(edited)))
    applied = (root / "f").read_bytes()
    # A patch cannot take the newline of a line that is not in it, when that becomes the last one.
    assert applied == spliced or (not wanted and applied == spliced + ending.encode())


def test_what_was_changed_meanwhile_or_is_no_text_is_refused(tmp_path: Path) -> None:
    before, after = FileImage(b"a\nb\nc\n"), FileImage(b"a\nx\nc\n")
    change = file_change("f", before, after)
    assert change is not None
    (hunk,) = change.hunks
    disk = WorkTree(tmp_path)
    for content in (b"a\ny\nc\n", b"0\na\nx\nc\n", b"a\nx\n", b"\0"):
        (tmp_path / "f").write_bytes(content)
        with pytest.raises(ReviewError):
            splice(disk, change, hunk, "new")
        assert (tmp_path / "f").read_bytes() == content
    (tmp_path / "f").unlink()
    with pytest.raises(ReviewError, match="no text file"):
        splice(disk, change, hunk, "new")
    latin = file_change("f", before, FileImage("a\nü\nc\n".encode("latin-1")))
    assert latin is not None
    with pytest.raises(ReviewError, match="UTF-8"):
        new_side(latin, latin.hunks[0])
