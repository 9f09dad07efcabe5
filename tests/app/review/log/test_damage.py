"""A damaged review store costs what rests on the damaged byte: it is named, and the rest goes on as it was."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.review.errors import ReviewError
from app.review.log.store import FileStore
from app.review.model import FileImage
from app.review.review import Review


@pytest.fixture(autouse=True, scope="module")
def without_waiting_for_the_medium() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.durable.sync", lambda _descriptor: None)
        yield


FILES = ("a.txt", "b.txt", "deep/c.txt")


def image(text: str) -> FileImage:
    return FileImage(text.encode(), 0o100644)


def text(*changed: int) -> str:
    return "".join(f"line {n}{' changed' * (n in changed)}\n" for n in range(24))


def work(root: Path, store: Path) -> None:
    """Three turns on three files, with decisions of every kind between them."""
    review = Review(root, FileStore(store))
    for path in FILES:
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text())

    def edit(path: str, before: str, after: str) -> None:
        review.record(path, image(before), image(after))
        (root / path).write_text(after)

    for turn, lines in enumerate(((2,), (2, 10), (2, 10, 18)), 1):
        review.begin_turn(turn, "session", f"Do {turn}.")
        for path in FILES:
            edit(path, text(*lines[:-1]), text(*lines))
        review.end_turn(turn)
        if turn == 1:
            review.keep(review.hunk_ids("b.txt"))
    review.reject(frozenset(sorted(review.hunk_ids("deep/c.txt"))[-1:]))
    review.undo()
    review.comment("a.txt", 3, "line 2", "Why?")
    review.begin_turn(4, "session", "More.")
    review.record("new.txt", None, image("new\n"))
    (root / "new.txt").write_text("new\n")
    review.end_turn(4)


@contextmanager
def copied() -> Iterator[tuple[Path, Path]]:
    """The files and the store, as `work` left them."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "copy"
        shutil.copytree(original(), place)
        yield place / "files", place / "store"


@cache
def original() -> Path:
    folder = Path(tempfile.mkdtemp())
    (folder / "files").mkdir()
    work(folder / "files", folder / "store")
    return folder


def hunks(review: Review) -> dict[str, list[tuple[str, str]]]:
    return {change.path: [(hunk.id, hunk.decision) for hunk in change.hunks] for change in review.changes()}


def on_disk(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def damaged(data: st.DataObject, whole: bytes) -> bytes:
    """One byte of `whole` is another, or its end is missing."""
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.integers(0, 4)) == 0:
        return whole[:at]
    byte = data.draw(st.sampled_from([10, 13, 0, 0x22, 0x2C, 0xFF, *range(0x30, 0x3A)]))
    return whole[:at] + bytes([byte]) + whole[at + 1 :]


def goes_on(review: Review, root: Path) -> None:
    """Whatever is left can be decided, and work goes on; nothing but a sentence comes of what cannot."""
    review.begin_turn(9, "session", "Go on.")
    review.record("after.txt", None, image("after\n"))
    (root / "after.txt").write_text("after\n")
    review.end_turn(9)
    assert "after.txt" in hunks(review)
    for path in (*FILES, "new.txt", "after.txt"):
        try:
            review.reject(review.hunk_ids(path))
        except ReviewError:
            continue
    assert not (root / "after.txt").exists()
    review.undo()
    assert (root / "after.txt").read_text() == "after\n"
    review.rewind(1, "session")


@given(st.data())
@settings(max_examples=60)
def test_a_damaged_line_of_the_log_costs_what_it_was_about(data: st.DataObject) -> None:
    with copied() as (root, store):
        before, files = hunks(Review(root, FileStore(store))), on_disk(root)
        log = store / "log.jsonl"
        whole = log.read_bytes()
        mangled = damaged(data, whole)
        log.write_bytes(mangled)
        review = Review(root, FileStore(store))
        after = hunks(review)
        assert on_disk(root) == files
        if len(mangled) == len(whole) and mangled != whole:
            assert any(str(log) in loss for loss in review.losses()) or mangled[-1:] != b"\n"
            at = next(n for n, (one, other) in enumerate(zip(whole, mangled, strict=True)) if one != other)
            # A newline that is lost costs the line behind it too.
            first = whole[:at].count(b"\n")
            lines = b"".join(whole.split(b"\n")[first : first + (2 if whole[at : at + 1] == b"\n" else 1)])
            untouched = [path for path in before if f'"{path}"'.encode() not in lines]
            assert {path: after.get(path) for path in untouched} == {path: before[path] for path in untouched}
        goes_on(review, root)


@given(st.data())
@settings(max_examples=40)
def test_a_damaged_content_costs_the_hunks_that_rest_on_it(data: st.DataObject) -> None:
    with copied() as (root, store):
        before, files = hunks(Review(root, FileStore(store))), on_disk(root)
        contents = sorted(path for path in (store / "contents").glob("*/*"))
        content = data.draw(st.sampled_from(contents))
        whole = content.read_bytes()
        if data.draw(st.booleans()):
            content.unlink()
        else:
            content.write_bytes(damaged(data, whole))
        review = Review(root, FileStore(store))
        after = hunks(review)
        assert on_disk(root) == files
        for path in before.keys() - {path for path, found in after.items() if found == before[path]}:
            assert any(loss.startswith(path) and str(content) in loss for loss in review.losses()), path
        if content.exists() and content.read_bytes() == whole:
            assert after == before and not review.losses()
        goes_on(review, root)


@pytest.mark.parametrize("name", ["log.jsonl", "contents"])
def test_a_store_that_is_gone_begins_anew(name: str) -> None:
    with copied() as (root, store):
        files = on_disk(root)
        (shutil.rmtree if name == "contents" else Path.unlink)(store / name)
        review = Review(root, FileStore(store))
        assert (review.changes() == ()) == (name == "log.jsonl" or bool(review.losses()))
        assert on_disk(root) == files
        goes_on(review, root)
