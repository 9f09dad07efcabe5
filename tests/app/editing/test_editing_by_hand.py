"""Editing without a screen: lines, searches, gutter marks, merging, and files that keep all their bytes."""

import stat
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.editing.comments import marks_for, toggled
from app.editing.errors import BadSearch, CannotEncode, DiskChanged, NotEditable
from app.editing.indentation import Indentation, indentation_of, indented, new_line, outdented
from app.editing.marks import marks_between
from app.editing.merge import merged
from app.editing.open_file import OpenFile
from app.editing.search import Query, find, replaced
from app.ui.panes.editor.document import LineDocument

FOUR = Indentation(4)


@pytest.mark.parametrize(
    ("lines", "name", "unit"),
    [
        (["def f():", "  return 1", "  if x:", "    y"], "a.py", "  "),
        (["func f() {", "\treturn 1", "}"], "a.go", "\t"),
        (["a", "b"], "Makefile", "\t"),
        (["a", "b"], "a.py", "    "),
    ],
)
def test_a_file_is_indented_as_it_is_already(lines: list[str], name: str, unit: str) -> None:
    assert indentation_of(lines, name).unit == unit


@pytest.mark.parametrize(
    ("before", "after", "name", "wanted"),
    [
        ("    x = 1", "", "a.py", ("\n    ", "")),
        ("    if x:", "", "a.py", ("\n        ", "")),
        ("    if x:", "", "a.c", ("\n    ", "")),
        ("        return x", "", "a.py", ("\n    ", "")),
        ("f(", ")", "a.py", ("\n    ", "\n")),
        ("\tif (x) {", "", "a.c", ("\n\t    ", "")),
        ("", "", "a.py", ("\n", "")),
    ],
)
def test_enter_indents_as_the_code_wants(before: str, after: str, name: str, wanted: tuple[str, str]) -> None:
    assert new_line(before, after, FOUR, name) == wanted


@given(st.lists(st.text(alphabet="\t ab#", max_size=8), min_size=1, max_size=6), st.sampled_from([2, 4, 8]))
def test_indenting_and_outdenting_give_the_lines_back(lines: list[str], width: int) -> None:
    for indentation in (Indentation(width), Indentation(width, is_tab=True)):
        assert outdented(indented(lines, indentation), indentation) == [
            line if line.strip() else outdented([line], indentation)[0] for line in lines
        ]


@pytest.mark.parametrize("name", ["a.py", "a.rs", "a.sql", "a.html", "a.css", "Makefile", ".bashrc.sh"])
@given(lines=st.lists(st.text(alphabet="\t ab", max_size=8), min_size=1, max_size=6))
def test_commenting_twice_gives_the_lines_back(name: str, lines: list[str]) -> None:
    marks = marks_for(name)
    assert marks is not None
    commented = toggled(lines, marks)
    assert toggled(commented, marks) == lines
    assert all(marks[0] in line for line in commented if line.strip())


def test_a_search_counts_and_replaces_what_it_shows() -> None:
    lines = ["One two", "two ONE", "äone"]
    found = find(lines, Query("one"), "1")
    assert [(match.start, match.end) for match in found] == [
        ((0, 0), (0, 3)),
        ((1, 4), (1, 7)),
        ((2, 1), (2, 4)),
    ]
    assert replaced(lines, found) == "1 two\ntwo 1\nä1"
    assert len(find(lines, Query("one", is_exact=True))) == 1 == len(find(lines, Query("One")))
    swapped = find(lines, Query(r"(\w+) (\w+)$", is_regex=True), r"\2 \1")
    assert [match.new for match in swapped] == ["two One", "ONE two"]
    with pytest.raises(BadSearch, match="regular expression"):
        find(lines, Query("(", is_regex=True))
    with pytest.raises(BadSearch, match="too long"):
        find(["a" * 40 + "b"], Query(r"(a|a|aa)+$", is_regex=True))


LINES = st.lists(st.integers(0, 30).map(str), unique=True, max_size=14)


@settings(max_examples=25, deadline=None)
@given(before=LINES, data=st.data())
def test_the_gutter_marks_what_git_says(
    tmp_path_factory: pytest.TempPathFactory, before: list[str], data
) -> None:
    after = list(before)
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(after)))
        end = data.draw(st.integers(start, min(len(after), start + 3)))
        new = data.draw(st.lists(st.uuids().map(str), max_size=3))
        after[start:end] = new
    place = tmp_path_factory.mktemp("marks")
    for name, lines in (("a", before), ("b", after)):
        (place / name).write_text("".join(f"{line}\n" for line in lines))
    answer = subprocess.run(
        ["git", "diff", "--no-index", "-U0", "--no-color", "a", "b"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    wanted: dict[int, str] = {}
    for header in (line for line in answer.splitlines() if line.startswith("@@")):
        _, old, new, *_ = header.split(" ")
        _, _, removed = old.partition(",")
        start, _, added = new.lstrip("+").partition(",")
        if added == "0":
            line = max(0, int(start) - 1)
            wanted.setdefault(line, "removed" if int(start) else "removed above")
        else:
            kind = "added" if removed == "0" else "changed"
            wanted.update(dict.fromkeys(range(int(start) - 1, int(start) - 1 + int(added or 1)), kind))
    assert marks_between(before, after).by_line == wanted


@given(st.lists(st.sampled_from("abcdef"), max_size=8), st.data())
def test_a_merge_has_both_sides_changes_or_refuses(base: list[str], data: st.DataObject) -> None:
    lines = [f"{number}{line}" for number, line in enumerate(base)]
    sides = []
    for side in ("mine", "theirs"):
        copy = list(lines)
        for index in data.draw(st.sets(st.integers(0, max(0, len(lines) - 1)), max_size=2)) if lines else ():
            copy[index] = f"{side} {index}"
        sides.append(copy)
    mine, theirs = sides
    both = merged(*("\n".join(side) for side in (lines, mine, theirs)))
    touched = [{i for i in range(len(lines)) if side[i] != lines[i]} for side in sides]
    if any(abs(a - b) <= 1 for a in touched[0] for b in touched[1]):
        assert both is None
    else:
        wanted = [next((s[i] for s in sides if s[i] != line), line) for i, line in enumerate(lines)]
        assert both == "\n".join(wanted)


ENCODED = st.sampled_from(
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")]
)
WORDS = st.text(alphabet="ab é漢\t\x0c\x85\u2028", max_size=6)


@settings(deadline=None, max_examples=60)
@given(
    encoded=ENCODED,
    lines=st.lists(st.tuples(WORDS, st.sampled_from(["\n", "\r\n", "\r"])), max_size=6),
    last=WORDS,
    new=st.lists(WORDS, max_size=6),
)
def test_saving_keeps_encoding_mark_line_endings_and_mode(
    tmp_path_factory: pytest.TempPathFactory,
    encoded: tuple[str, bytes],
    lines: list[tuple[str, str]],
    last: str,
    new: list[str],
) -> None:
    path = tmp_path_factory.mktemp("saving") / "a.txt"
    encoding, mark = encoded
    data = mark + ("".join(text + ending for text, ending in lines) + last).encode(encoding)
    path.write_bytes(data)
    path.chmod(0o750)
    file = OpenFile(path, "a.txt")
    file.save(file.normal)
    assert path.read_bytes() == data, "saving what was not touched changes nothing"
    # One line more, at the end: every byte before it stays.
    file.save(file.normal + "\nmore")
    assert path.read_bytes().startswith(data)
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    # Whatever is written is what is read again.
    written = "\n".join(new)
    file.save(written)
    again = OpenFile(path, "a.txt")
    assert again.normal == written
    assert again.text.mark == mark


def test_what_somebody_else_wrote_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    file = OpenFile(path, "a.txt")
    path.write_text("theirs\n")
    with pytest.raises(DiskChanged):
        file.save("mine\n")
    assert path.read_text() == "theirs\n"
    path.unlink()
    with pytest.raises(DiskChanged):
        file.save("mine\n")
    file.adopt(None)
    file.save("mine\n")
    assert path.read_text() == "mine\n" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_edited_says_why(tmp_path: Path) -> None:
    for name, data, words in (
        ("binary", b"\0\1\2" * 99, "no text"),
        ("large", b"x\n" * 1_000_001, "more than 2,000,000 bytes"),
        ("tall", b"\n" * 60_000, "more than 50,000 lines"),
        ("wide", b"x" * 30_000, "a line of more than"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(NotEditable, match=words):
            OpenFile(tmp_path / name, name)
    path = tmp_path / "latin"
    path.write_bytes("Grüße aus Köln, schöne".encode("cp1252"))
    file = OpenFile(path, "latin")
    with pytest.raises(CannotEncode, match="cp1252"):
        file.save("→")
    file.use_utf8()
    file.save("→")
    assert path.read_bytes() == "→".encode()


class Editing(RuleBasedStateMachine):
    """A file, a text that is written from it, and somebody else: what a person wrote is on the disk or in the
    text, what others wrote is never written over unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "a.txt"
        self.begin(("utf-8", b""), "\r\n")

    @initialize(encoded=ENCODED, ending=st.sampled_from(["\n", "\r\n", "\r"]))
    def begin(self, encoded: tuple[str, bytes], ending: str) -> None:
        encoding, self.mark = encoded
        self.path.write_bytes(self.mark + f"one{ending}two{ending}".encode(encoding))
        self.file = OpenFile(self.path, "a.txt")
        self.document = LineDocument(self.file.normal)
        self.written: list[tuple[int, str, str]] = []
        """What was put where and in the place of what; undone, it can be written again."""
        self.undone: list[tuple[int, str, str]] = []
        self.model = self.file.normal
        self.seen = self.disk

    @property
    def disk(self) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    @rule(data=st.data(), text=st.text(alphabet="ab\n\r\x0c\x85漢", max_size=5))
    def write(self, data: st.DataObject, text: str) -> None:
        start = data.draw(st.integers(0, len(self.model)))
        end = data.draw(st.integers(start, min(len(self.model), start + 4)))
        first, last = (self.document.get_location_from_index(at) for at in (start, end))
        result = self.document.replace_range(first, last, text)
        assert result.replaced_text == self.model[start:end]
        plain = text.replace("\r\n", "\n").replace("\r", "\n")
        self.model = self.model[:start] + plain + self.model[end:]
        self.written.append((start, plain, result.replaced_text))
        self.undone.clear()

    def put(self, at: int, old: str, new: str) -> None:
        first, last = (self.document.get_location_from_index(index) for index in (at, at + len(old)))
        assert self.document.replace_range(first, last, new).replaced_text == old
        self.model = self.model[:at] + new + self.model[at + len(old) :]

    @precondition(lambda self: self.written)
    @rule()
    def undo(self) -> None:
        at, new, old = self.written.pop()
        self.put(at, new, old)
        self.undone.append((at, new, old))

    @precondition(lambda self: self.undone)
    @rule()
    def redo(self) -> None:
        at, new, old = self.undone.pop()
        self.put(at, old, new)
        self.written.append((at, new, old))

    @rule(text=st.sampled_from([b"theirs\n", b"other\r\nlines", None]))
    def somebody_writes(self, text: bytes | None) -> None:
        if text is None:
            self.path.unlink(missing_ok=True)
        else:
            self.path.write_bytes(text)

    @rule()
    def save(self) -> None:
        before = self.disk
        try:
            self.file.save(self.document.text)
        except DiskChanged:
            assert before != self.seen and self.disk == before
        else:
            assert before == self.seen
            self.seen = self.disk
            again = OpenFile(self.path, "a.txt")
            assert again.normal == self.model
            # As it was encoded; ASCII alone has no encoding to be told by but its mark.
            if self.mark:
                assert self.seen is not None and self.seen.startswith(self.mark)
                assert again.text.encoding == self.file.text.encoding

    @rule()
    def look_at_theirs_and_keep_mine(self) -> None:
        self.seen = self.file.data = self.disk

    @invariant()
    def text_is_the_models(self) -> None:
        assert self.document.text == self.model
        assert self.document.lines == self.model.split("\n")
        widest = max(len(line) + line.count("漢") for line in self.document.lines)
        assert self.document.get_size(4) == (widest, len(self.document.lines))

    def teardown(self) -> None:
        self.folder.cleanup()


Editing.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestEditing = Editing.TestCase
