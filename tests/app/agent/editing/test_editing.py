"""Edits land where they were meant, or not at all; and they leave alone what they were not about."""

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from app.agent.editing.closest import closest
from app.agent.editing.match import find_matches
from app.agent.editing.splice import replacement_at
from app.agent.errors import ToolFailure
from app.agent.shell.jobs import Jobs
from app.agent.tools.base import ToolContext
from app.agent.tools.edit import Edit
from app.agent.tools.files import Files
from app.review.model import FileImage, FileSummary
from app.review.remarks.model import Said
from app.workspace.files.line_endings import split_lines, with_line_endings
from app.workspace.files.text import decode
from app.workspace.workspace import Workspace

WORDS = st.sampled_from(
    [
        "if x:",
        "return 'a'",
        'print("b")',
        "y = 1",
        "z = y - 1",
        "else:",
        "pass",
        "",
        "}",
        "foo(bar)",
        "# it's",
        "…",
    ]
)
INDENTS = st.sampled_from(["", "    ", "        ", "\t", "\t\t", "  "])
LINES = st.lists(st.builds(lambda indent, word: indent + word, INDENTS, WORDS), min_size=1, max_size=14)


def land(text: str, old: str, new: str) -> str | None:
    """What the edit tool would make of `text`; None for a refusal."""
    places = find_matches(text, old, new)
    if len(places) != 1:
        return None
    place = places[0]
    return text[: place.start] + replacement_at(text, place) + text[place.end :]


def curl(text: str) -> str:
    """As a model writes that has read too much typography."""
    text = re.sub(r"'(\w)", "‘\\1", text).replace("'", "’")
    return re.sub(r'"(\w)', "“\\1", text).replace('"', "”").replace("-", "–").replace(" ", "\u00a0", 1)


def trail(text: str) -> str:
    return "\n".join(line + "  " for line in text.split("\n"))


def untrail(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


def indent(text: str) -> str:
    return "\n".join("    " + line if line.strip() else line for line in text.split("\n"))


def outdent(text: str) -> str:
    lines = text.split("\n")
    if not all(line.startswith("    ") for line in lines if line.strip()):
        return text
    return "\n".join(line.removeprefix("    ") if line.strip() else line for line in lines)


def spaces(text: str) -> str:
    return text.replace("\t", "    ")


MISTAKES = {f.__name__: f for f in (curl, trail, untrail, indent, outdent, spaces)}


@given(LINES, st.data())
def test_an_edit_quoted_exactly_lands_exactly(lines: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, len(lines)))
    new = "\n".join(data.draw(LINES))
    text, old = "\n".join(lines), "\n".join(lines[start:end])
    assume(old)
    where = [match.start() for match in re.finditer(f"(?={re.escape(old)})", text)]
    landed = land(text, old, new)
    assert landed == (text.replace(old, new) if len(where) == 1 else None)


@given(LINES, st.data(), st.sampled_from(sorted(MISTAKES)), st.booleans())
def test_a_misquoted_edit_lands_as_meant_or_is_refused(
    lines: list[str], data: st.DataObject, name: str, errs_in_both: bool
) -> None:
    """The model means to change one line among some it quotes, and errs in its quotation or in both strings."""
    start = data.draw(st.integers(0, len(lines) - 1))
    end = data.draw(st.integers(start + 1, len(lines)))
    changed = data.draw(st.integers(start, end - 1))
    before = lines[changed]
    after = re.sub(r"\S+$", "changed(1)", before) if before.strip() else before + "changed(1)"
    assume(after != before)
    text = "\n".join(lines)
    meant = "\n".join([*lines[:changed], after, *lines[changed + 1 :]])
    mistake = MISTAKES[name]
    old = mistake("\n".join(lines[start:end]))
    new = "\n".join([*lines[start:changed], after, *lines[changed + 1 : end]])
    new = mistake(new) if errs_in_both else new
    assume(old != new and old.strip() and text.count("\n".join(lines[start:end])) == 1)
    if old != "\n".join(lines[start:end]) and name != "untrail" and untrail(old) in untrail(text):
        return  # the mistake quotes another place, and better: nobody could tell
    landed = land(text, old, new)
    if landed is None:
        return
    # A line that the model did change may have its spelling and trailing space; nothing else may differ.
    got, want = landed.split("\n"), meant.split("\n")
    assert len(got) == len(want)
    for number, (real, wanted) in enumerate(zip(got, want, strict=True)):
        if number == changed:
            assert spaces(real.rstrip()) == spaces(wanted.rstrip()), (real, wanted)
        else:
            assert real == wanted


@pytest.mark.parametrize(
    ("text", "old", "new", "result"),
    [
        ("a = 'x'\n", "a = ‘x’", "a = ‘y’", "a = 'y'\n"),
        ("say(“hi”) # 'q'\nend\n", "say(\"hi\") # 'q'\n", "say(\"hi\") # 'r'\n", "say(“hi”) # 'r'\nend\n"),
        ("wait…\nnow 1\n", "wait...\nnow 1", "wait...\nnow 2", "wait…\nnow 2\n"),
        ("a   \nb\t\nc\n", "a\nb\nc", "a\nB\nc", "a   \nB\nc\n"),
        ("a\nb\n", "a  \nb", "a  \nc", "a\nc\n"),
        (
            "class A:\n    def f(self):\n        return 1\n",
            "def f(self):\n    return 1\n",
            "def f(self):\n    x = 2\n    return x\n",
            "class A:\n    def f(self):\n        x = 2\n        return x\n",
        ),
        (
            "\tif a:\n\t\tgo()\n",
            "    if a:\n        go()\n",
            "    if a:\n        stop()\n",
            "\tif a:\n\t\tstop()\n",
        ),
        ("one\ntwo", "two\n", "three\n", "one\nthree"),
    ],
)
def test_each_rung_keeps_what_the_file_has(text: str, old: str, new: str, result: str) -> None:
    assert land(text, old, new) == result


@pytest.mark.parametrize(
    ("text", "old"),
    [
        ("x = 10\n", "x = 1 "),  # trailing space must end a line, not begin a number
        ("if a:\n    b()\n  c()\n", "  if a:\n    b()\n    c()\n"),  # no one change of indentation does it
        ("    f()\n        f()\n", "\tf()\n"),  # two places, neither of them the quoted
        ("  }\n", "\t}\n"),  # too little to know a place by
        ("wait…..\n", "wait....\n."),
        ("a\n", "b\n"),
    ],
)
def test_what_cannot_be_told_for_certain_is_refused(text: str, old: str) -> None:
    assert land(text, old, "new") is None


ENDINGS = st.sampled_from(["\n", "\r\n", "\r"])


@given(
    st.lists(st.tuples(st.text("abc \té", max_size=5), ENDINGS), min_size=1, max_size=12),
    st.booleans(),
    st.data(),
)
@example([("", "\r"), ("a", "\n"), ("", "\r\n")], False, None)
def test_untouched_lines_keep_their_endings(
    pairs: list[tuple[str, str]], is_open: bool, data: st.DataObject | None
) -> None:
    if is_open:
        pairs[-1] = (pairs[-1][0] + "z", "")
    if any(a[1] == "\r" and b == ("", "\n") for a, b in pairwise(pairs)):
        return  # reads as one ending
    raw = "".join(line + ending for line, ending in pairs)
    number = data.draw(st.integers(0, len(pairs) - 1)) if data else 1
    after = "".join(
        ("NEW" if i == number else line) + ("\n" if ending else "") for i, (line, ending) in enumerate(pairs)
    )
    result = split_lines(with_line_endings(raw, after))
    for i, (line, ending) in enumerate(pairs):
        if i != number:
            assert result[i] == line + ending
    assert result[number].rstrip("\r\n") == "NEW"
    assert bool(pairs[number][1]) == (result[number] != "NEW")


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60),
    st.sampled_from(["utf-8", "utf-16", "utf-32", "utf-8-sig", "cp1252"]),
)
def test_text_encodes_to_the_bytes_it_was_decoded_from(text: str, encoding: str) -> None:
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        return
    found = decode(data)
    if found is not None:
        assert found.encode() == data
    if encoding in ("utf-8", "utf-16", "utf-8-sig"):
        assert found is not None
        assert found.raw == text.removeprefix("\ufeff") if encoding == "utf-8" else found.raw == text


def test_a_failed_quotation_is_answered_with_the_nearest_text() -> None:
    text = "\n".join(f"def function_{n}(argument):\n    return argument + {n}\n" for n in range(200))
    near = closest(text, "def function_150(argument, other):\n    return argument + 150\n")
    assert near is not None
    assert "def function_150(argument):" in near.text
    assert near.text == "\n".join(text.split("\n")[near.first - 1 : near.last])
    assert closest(text, "SELECT * FROM somewhere WHERE nothing IS alike") is None


class _Tape:
    """A ChangeRecorder that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[tuple[str, FileImage | None, FileImage | None]] = []

    def begin_turn(self, turn: int, session: str = "", words: str = "") -> None: ...

    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        self.records.append((path, before, after))

    def begin_call(self, call: str) -> None: ...

    def end_turn(self, turn: int) -> None: ...

    def command_started(self, named: Sequence[str] = ()) -> None: ...

    def command_finished(self, still_runs: bool = False) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def retell(self, turn: int, session: str) -> None: ...

    def say(self, said: Said) -> str:
        raise NotImplementedError

    def turn_files(self) -> tuple[FileSummary, ...]:
        return ()

    def feedback(self) -> str:
        return ""


async def _no_output(_text: str) -> None: ...


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
async def test_an_edit_on_disk_changes_only_its_line(tmp_path: Path, encoding: str, ending: str) -> None:
    lines = ["caf\u00e9 = 1", "", "\tb = 2", "no newline at the end \u20ac"]
    file = tmp_path / "f.txt"
    before = ending.join(lines).encode(encoding)
    file.write_bytes(before)
    file.chmod(0o741)
    tape = _Tape()
    context = ToolContext(Workspace(tmp_path), Files(tape), Jobs(tmp_path / "jobs"), _no_output)
    tool = Edit()
    given = {"file_path": "f.txt", "old_string": "\tb = 2\nno", "new_string": "\tb = 3\n\tc = 4\nno"}
    await tool.run(tool.parse(json.dumps(given)), context)
    after = ending.join([*lines[:2], "\tb = 3", "\tc = 4", lines[3]]).encode(encoding)
    assert file.read_bytes() == after
    assert file.stat().st_mode & 0o777 == 0o741
    assert tape.records == [("f.txt", FileImage(before, 0o100755), FileImage(after, 0o100755))]
    if encoding == "cp1252":
        given = {"file_path": "f.txt", "old_string": "b = 3", "new_string": "b = \u2192"}
        with pytest.raises(ToolFailure, match="cp1252, which cannot hold"):
            await tool.run(tool.parse(json.dumps(given)), context)
        assert file.read_bytes() == after
