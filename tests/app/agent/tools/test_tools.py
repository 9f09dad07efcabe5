"""Tools say what they left out and how to get it; following that advice gets everything."""

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.errors import ToolFailure
from app.agent.tools.base import Tool, locate
from app.agent.tools.toolbox import TOOLS
from app.workspace.workspace import Workspace
from tests.support.agent.agent_bench import Bench, end_of
from tests.support.agent.scripted_server import Reply, call, reply

Make = Callable[..., Bench]


async def test_a_long_file_is_read_to_its_end_by_following_the_advice(bench: Make) -> None:
    def read_on(request: dict[str, list[dict[str, str]]]) -> Reply:
        advice = re.search(r"Read on with offset (\d+)", request["messages"][-1]["content"])
        if advice is None:
            return reply("Read.")
        return reply(call("read_file", file_path="long.txt", offset=int(advice[1])))

    b = bench(reply(call("read_file", file_path="long.txt")), *[read_on] * 20)
    lines = [f"line {n} " + "y" * (n % 90) for n in range(4000)] + ["z" * 5000]
    (b.root / "long.txt").write_text("\n".join(lines) + "\n")
    assert end_of(await b.run()).reason == "done"
    read = [line for text in b.results() for line in text.split("\n")[1:]]
    assert read[:-1] == lines[:-1]
    assert read[-1].startswith("z" * 2000) and "[3000 characters cut]" in read[-1]
    assert all(len(text) < 45_000 for text in b.results())


async def test_what_is_found_and_listed_is_limited_and_says_so(bench: Make) -> None:
    b = bench(
        reply(
            call("glob", pattern="**/*.txt"),
            call("grep_search", pattern="needle", limit="3"),
            call("grep_search", pattern="needle", path="many", glob="f00[12].txt"),
            call("grep_search", pattern="no such thing"),
            call("list_directory", path="many"),
            call("list_directory", path="many", ignore=["f*"]),
            call("list_directory", path="build"),
            call("list_directory"),
            call("glob", pattern="f0*.txt", path="many"),
            call("glob", pattern="*.o"),
        ),
        reply("done"),
    )
    for name in ("many", "build"):
        (b.root / name).mkdir()
    (b.root / ".gitignore").write_text("build/\n")
    (b.root / "build" / "a.o").write_text("needle")
    for n in range(350):
        (b.root / "many" / f"f{n:03}.txt").write_text("a\nneedle\n")
    await b.run()
    found, few, two, none, listed, ignored, built, top, below, objects = b.results()
    assert found.count("\n") == 200 and "[150 more files match." in found
    assert few.count("needle") == 3 and "more than these 3 matches" in few
    assert two == "many/f001.txt\n2: needle\nmany/f002.txt\n2: needle"
    assert none.startswith("No matches")
    assert "[50 more entries." in listed
    assert ignored == "[Nothing.]"
    assert built == "a.o"
    assert top == "many/\nsrc/\n.gitignore\nnotes.md\n[1 entries that git ignores are left out.]"
    assert below.startswith("many/f000.txt\n") and below.count("\n") == 99
    assert objects.startswith("No files match")


async def test_unsafe_files_and_blind_overwrites_are_refused(bench: Make) -> None:
    b = bench(
        reply(
            call("read_file", file_path="pipe"),
            call("grep_search", pattern="a", path="pipe"),
            call("read_file", file_path="src"),
            call("read_file", file_path="binary"),
            call("edit", file_path="pipe", old_string="a", new_string="b"),
            call("write_file", file_path="notes.md", content="blind"),
            call("edit", file_path="notes.md", old_string="", new_string="blind"),
            call("edit", file_path="gone.md", old_string="a", new_string="b"),
            call("write_file", file_path="notes.md/x", content="x"),
            call("edit", file_path="notes.md", old_string="two", new_string="two"),
            call("edit", file_path="notes.md", old_string="o", new_string="0", replace_all="true"),
            call("write_file", file_path="notes.md", content="still blind"),
        ),
        reply("done"),
    )
    os.mkfifo(b.root / "pipe")
    (b.root / "binary").write_bytes(b"\0\1\2")
    await b.run()
    for text, part in zip(
        b.results(),
        [
            "named pipe",
            "neither a file nor a directory",
            "is a directory",
            "binary",
            "named pipe",
            "you have not read it",
            "exists and is not empty",
            "does not exist. To create it, use write_file",
            "notes.md/x",
            "the same",
            "in 2 places",
            "you have not read it",
        ],
        strict=True,
    ):
        assert part in text
    assert (b.root / "notes.md").read_text() == "0ne\ntw0\nthree\n"
    assert [path for path, _, _ in b.recorder.records] == ["notes.md"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(list(TOOLS.values())), st.data())
def test_no_arguments_can_break_a_tool(tool: Tool[Any], data: st.DataObject) -> None:
    known = st.fixed_dictionaries({}, optional=dict.fromkeys(tool.arguments.model_fields, JSON))
    value = data.draw(known | JSON)
    text = data.draw(st.sampled_from([json.dumps(value), json.dumps(json.dumps(value))]) | st.text(max_size=20))
    with contextlib.suppress(ToolFailure):
        arguments = tool.parse(text)
        assert isinstance(tool.summary(arguments), str)
        tool.access(arguments, Workspace("."))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("read_file", '{"file_path": "a", "offset": "10", "limit": 5.0}', {"offset": 10, "limit": 5}),
        ("read_file", '{"file_path": 3, "limit": null, "encoding": "x"}', {"file_path": "3", "limit": None}),
        ("edit", '{"file_path": "a", "old_string": "x", "new_string": true, "replace_all": "True"}',
         {"new_string": "true", "replace_all": True}),
        ("write_file", '{"file_path": "a", "content": "line\nline"}', {"content": "line\nline"}),
        ("list_directory", '{"ignore": "[\\"a\\"]"}', {"ignore": ["a"]}),
        ("glob", '"{\\"pattern\\": \\"*\\"}"', {"pattern": "*"}),
    ],
)  # fmt: skip
def test_arguments_of_the_wrong_type_are_understood(name: str, text: str, expected: dict[str, object]) -> None:
    arguments = TOOLS[name].parse(text).model_dump()
    assert {key: arguments[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        (("a.py", "a.py "), "a.py ", "a.py "),
        (("a.py",), "a.py ", "a.py"),
        (("a.py",), "a.py\n", "a.py"),
        ((), " new.py ", " new.py "),
    ],
)
def test_a_space_at_the_end_belongs_to_the_name(
    tmp_path: Path, there: tuple[str, ...], asked: str, found: str
) -> None:
    for name in there:
        (tmp_path / name).touch()
    assert locate(asked, Workspace(tmp_path)).path == found
