"""What is only reformatted or renamed, held against ruff's formatter and against Python's own syntax tree."""

import ast
import random
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.review.diff.compare import file_change
from app.review.diff.meaning.notes import REFORMATTED, lines_before, notes_on, whole_note
from app.review.diff.meaning.tokens import tokens_of
from app.review.model import FileChange, FileImage
from tests.support.places import ROOT
from tests.support.review.diffs import changes_of
from tests.support.review.real_project import ARCHIVE


def lines_of(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def noted(files: dict[str, tuple[str, str]]) -> tuple[tuple[FileChange, ...], list[str]]:
    """The changes, and for each hunk what it comes to as a whole."""
    changes = changes_of(files)
    found = notes_on([(change, lines_of(files[change.path][1])) for change in changes])
    hunks = [hunk for change in changes for hunk in change.hunks]
    return changes, [whole_note(hunk, found.get(hunk.id, ())) for hunk in hunks]


def whole(before: str, after: str, path: str = "a.py") -> str:
    return noted({path: (before, after)})[1][0]


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("a.py", "x = f(a, b)\n", "x = f(\n    a,\n    b,\n)\n"),
        ("a.py", "x = 'it\\'s' 'so'\n", 'x = (\n    "it\'s"\n    "so"\n)\n'),
        ("a.py", "for (a, b) in c: del (a, b)\n", "for a, b in c:\n    del a, b\n"),
        ("a.py", "class A():\n  '''A\n  b'''\n", 'class A:\n    """A\n    b"""\n'),
        ("a.py", "if a and \\\n   b:\n  f( ) # c\n", "if a and b:\n    f()  # c\n"),
        ("a.js", "f(a => { g('x') })\n", 'f(\n  a => {\n    g("x");\n  },\n);\n'),
        ("a.ts", "type A = {a: string, b: number}\n", "type A = {\n  a: string,\n  b: number,\n}\n"),
        ("a.go", "func f(a int, b int) {}\n", "func f(\n\ta int,\n\tb int,\n) {\n}\n"),
        ("a.rs", "fn f() { g(a, b) }\n", "fn f() {\n    g(\n        a,\n        b,\n    )\n}\n"),
        (
            "A.java",
            "class A { int f(int a) { return a; } }\n",
            "class A {\n  int f(int a) {\n    return a;\n  }\n}\n",
        ),
    ],
)
def test_layout_comes_to_one_note(path: str, before: str, after: str) -> None:
    assert whole(before, after, path) == REFORMATTED


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("a.py", "x = (a,)\n", "x = (a)\n"),
        ("a.py", "x = a[1,]\n", "x = a[1]\n"),
        ("a.py", "x = a * (b + c)\n", "x = a * b + c\n"),
        ("a.py", "x = f((a, b))\n", "x = f(a, b)\n"),
        ("a.py", "x = 'a  b'\n", "x = 'a b'\n"),
        ("a.py", 'x = """a\n  b"""\n', 'x = """a\n b"""\n'),
        ("a.py", "if x:\n    a()\n    b()\n", "if x:\n    a()\nb()\n"),
        ("a.py", "a = 1  # noqa\nb = 2\n", "a = 1\nb = 2  # noqa\n"),
        ("a.py", "def f(:\n", "def  f(:\n"),
        ("a.py", "x = min(a)\n", "x = max(a)\n"),
        ("a.py", "x = f(a, b)\n", "x = f(b, a)\n"),
        ("a.js", "x = `a  b`\n", "x = `a b`\n"),
        ("a.js", "x = [1,,2]\n", "x = [1,2]\n"),
        ("a.rs", "fn f() { g() }\n", "fn f() {\n    g();\n}\n"),
        ("a.md", "a  b\n", "a b\n"),
    ],
)
def test_what_means_something_has_no_note(path: str, before: str, after: str) -> None:
    assert whole(before, after, path) == ""


def test_a_renamed_symbol_is_named_where_it_is_defined_and_where_it_is_used() -> None:
    before = {
        "a.py": "def total(xs):\n    return sum(xs)\n",
        "b.py": "from a import total\n\nprint(total([1]))\n",
    }
    files = {path: (text, text.replace("total", "sum_of")) for path, text in before.items()}
    assert noted(files)[1] == ["renamed total to sum_of"] * 2
    del files["a.py"]
    # Without its definition it may as well be another symbol.
    assert noted(files)[1] == [""]


def test_a_name_that_is_not_the_same_everywhere_is_not_renamed() -> None:
    before = "def f(a, b):\n    return a + b\n"
    assert whole(before, before.replace("a", "b")) == ""
    assert whole(before, "def f(x, b):\n    return x + a\n") == ""
    assert whole(before, "def f(x, y):\n    return x + y\n") == "renamed a to x · renamed b to y"


def test_a_part_of_a_hunk_has_its_note_beside_a_part_that_has_none() -> None:
    changes = changes_of({"a.py": ("a = f( 1 )\nb = 2\nc = 3\n", "a = f(1)\nb = 2\nc = 4\n")})
    (notes,) = notes_on([(changes[0], ["a = f(1)", "b = 2", "c = 4"])]).values()
    assert [(note.start, note.end, note.text) for note in notes] == [(0, 2, REFORMATTED)]
    assert whole_note(changes[0].hunks[0], notes) == ""
    assert lines_before(changes[0], ["something", "else"]) is None


@pytest.mark.parametrize(
    ("path", "start", "piece", "end"),
    [
        ("a.py", "x = [", "name, ", "]\n"),
        ("a.py", "x = (", "'text' ", ")\n"),
        ("a.py", "f(", "a=b,  # why\n", ")\n"),
        ("a.py", "", "def f(a, b):\n    return a\n", ""),
        ("a.js", "f(`", "text ${name} ", "`)\n"),
        ("a.rs", "fn f() { g(", "a + b, ", ") }\n"),
    ],
)
def test_reading_takes_time_in_proportion_to_the_length(path: str, start: str, piece: str, end: str) -> None:
    def seconds(count: int) -> float:
        text = f"{start}{piece * count}{end}".encode()
        begun = time.thread_time()
        assert tokens_of(path, text) is not None
        return time.thread_time() - begun

    short, long = (min(seconds(count) for _ in range(2)) for count in (600, 2_400))
    assert long < 9 * max(short, 0.004)


def meaning(source: str) -> str | None:
    """Python's own tree, whatever the indentation of docstrings; None if it is no Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = " ".join(str(node.value.value).split())
    return ast.dump(tree)


def damaged(source: str, chance: random.Random) -> str:
    """`source` with one small change somewhere, of layout or of more."""
    lines = lines_of(source)
    at = chance.choice([number for number, line in enumerate(lines) if line.strip()])
    line = lines[at]
    match chance.randrange(7):
        case 0:
            lines[at] = line[1:]
        case 1:
            lines[at] = f"    {line}"
        case 2:
            place = chance.randrange(len(line) + 1)
            lines[at] = line[:place] + chance.choice([" ", "(", ",", "x", "1", "-", '"']) + line[place:]
        case 3:
            place = chance.randrange(len(line))
            lines[at] = line[:place] + line[place + 1 :]
        case 4:
            lines[at : at + 2] = lines[at : at + 2][::-1]
        case 5:
            lines[at] = line.replace("(", "((", 1).replace(")", "))", 1)
        case _:
            lines[at : at + 2] = [f"{line} {' '.join(lines[at + 1 : at + 2]).strip()}"]
    return "\n".join(lines) + "\n"


def check_damage(count: int, seed: int) -> None:
    chance = random.Random(seed)
    source = (ROOT / "app" / "review" / "diff" / "words.py").read_text()
    pieces = [ast.get_source_segment(source, node) for node in ast.parse(source).body]
    reformatted = 0
    for _ in range(count):
        before = "\n\n".join(f"{piece}" for piece in chance.sample(pieces[-8:], 3)) + "\n"
        after = damaged(before, chance)
        if before == after:
            continue
        says = noted({"a.py": (before, after)})[1]
        if all(note == REFORMATTED for note in says):
            reformatted += 1
            assert meaning(after) == meaning(before), after
    assert reformatted > count // 20


def test_nothing_that_python_reads_otherwise_is_only_reformatted() -> None:
    check_damage(150, 7)


@pytest.mark.slow
def test_nothing_of_thousands_that_python_reads_otherwise_is_only_reformatted() -> None:
    check_damage(2_000, random.randrange(1 << 30))


def formatted(sources: Sequence[Path], width: int, *more: str) -> None:
    options = ["--line-length", str(width), "--isolated", *(f"--config={option}" for option in more)]
    command = [sys.executable, "-m", "ruff", "format", "--quiet", *options, *map(str, sources)]
    subprocess.run(command, check=True)


def check_formatting(sources: Sequence[Path], *more: str) -> None:
    before = {path: path.read_bytes() for path in sources}
    formatted(sources, *(60, *more) if more else (60,))
    files: list[tuple[FileChange, list[str]]] = []
    for path in sources:
        change = file_change(path.name, FileImage(before[path]), FileImage(path.read_bytes()))
        if change is not None:
            files.append((change, lines_of(path.read_text())))
    found = notes_on(files)
    hunks = [hunk for change, _ in files for hunk in change.hunks]
    assert len(hunks) > 10
    assert [hunk for hunk in hunks if whole_note(hunk, found.get(hunk.id, ())) != REFORMATTED] == []


def sources_of_click(place: Path, count: int) -> list[Path]:
    if not ARCHIVE.exists():
        pytest.skip("the source distribution is not here: run `make test` once with a package index in reach")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(place, filter="data")
    return sorted((place / ARCHIVE.name.removesuffix(".tar.gz") / "src" / "click").glob("*.py"))[:count]


def test_what_a_formatter_does_to_a_real_project_comes_to_nothing_but_notes(tmp_path: Path) -> None:
    check_formatting(sources_of_click(tmp_path, 2))


@pytest.mark.slow
def test_what_a_formatter_does_to_all_of_a_real_project_comes_to_nothing_but_notes(tmp_path: Path) -> None:
    check_formatting(sources_of_click(tmp_path, 99), "format.quote-style='single'", "format.indent-style='tab'")
