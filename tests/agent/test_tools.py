"""Tools say what they left out and how to get it; following that advice gets everything."""

import os
import re
from collections.abc import Callable

from tests.agent.support import Bench, end_of
from tests.support.scripted_server import Reply, call, reply

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
