"""Questions, other takes and doubt, by keyboard."""

import json
from pathlib import Path

import pytest
from textual.widgets import Input, TextArea

from app.agent.hunks.doubt import pack
from app.agent.hunks.takes import Take, Takes
from app.agent.session.records import MessageAdded
from app.agent.session.session import new_journal
from app.model.events import TokenChance
from app.model.messages import Message, ToolCall
from app.review.model import FileImage
from app.review.review import Review
from tests.support.ui.screen import Stage

BEFORE = "def f():\n    return 1\n\n\n\n\n\n\n\n\ndef g():\n    return 2\n"
AFTER = BEFORE.replace("return 1", "return x").replace("return 2", "y = 3\n    return y")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.py").write_text(BEFORE)
    return root


def write(root: Path, review: Review) -> None:
    """Two calls of one turn write a hunk each; the model doubts the `x` of the first and, more, the `3`."""
    journal = new_journal(root)
    review.begin_turn(1, journal.id, "Do it.")
    text = BEFORE
    for number, (old, new, sure) in enumerate(
        [("    return 1", "    return x", 0.6), ("    return 2", "    y = 3\n    return y", 0.3)]
    ):
        call = ToolCall(f"c{number}", "edit", json.dumps({"file_path": "a.py", "new_string": new}))
        tokens = [TokenChance("<parameter=new_string>\n", 1, 1), TokenChance(new[:9], sure, 0)]
        tokens += [TokenChance(new[9:], 0.99, 0.98), TokenChance("\n</parameter>", 1, 1)]
        journal.append(MessageAdded(Message("assistant", "", (call,)), doubt=pack([call], tokens)))
        journal.append(MessageAdded(Message("tool", "Edited.", tool_call_id=call.id)))
        review.begin_call(call.id)
        was, text = text, text.replace(old, new)
        review.record("a.py", FileImage(was.encode()), FileImage(text.encode()))
        (root / "a.py").write_text(text)
    review.end_turn(1)
    journal.close()


async def opened(stage: Stage) -> None:
    write(stage.root, stage.review)
    stage.screen.review.reload()
    await stage.until(lambda: stage.screen.review.total == 2, "the hunks")
    await stage.press("f4")


def rows(stage: Stage) -> str:
    view = stage.screen.review.view
    return "\n".join(view.render_line(row).text.rstrip() for row in range(view.size.height))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_an_answer_stands_beside_the_hunk_and_outlives_a_restart(
    root: Path, size: tuple[int, int]
) -> None:
    async with Stage(root).run(size=size) as stage:
        await opened(stage)
        stage.agent.hunks.answers = ["Because x is the input.", "Then None comes back."]
        await stage.press("g", *"jjjj", "Q")
        await stage.press(*"Why?", "enter")
        await stage.until(lambda: "Because x is the input." in rows(stage), "the answer")
        (asked,) = stage.agent.hunks.questions
        assert (asked.words, asked.path, asked.call, asked.earlier) == ("Why?", "a.py", "c0", ())
        assert asked.quoted and "+    return x" in asked.diff
        view = stage.screen.review.view
        answer = stage.review.remarks.all()[0]
        assert view.go_to_remark(answer)
        await stage.press("Q", *"And?", "enter")
        await stage.until(lambda: "Then None comes back." in rows(stage), "the second answer")
        assert stage.agent.hunks.questions[1].earlier == (("Why?", "Because x is the input."),)
        # Sent on: the comment begins with what was asked and answered.
        assert view.go_to_remark(answer)
        await stage.press("m")
        await stage.until(lambda: isinstance(stage.app.focused, Input | TextArea), "the comment's field")
        await stage.press("ctrl+s")
        await stage.until(stage.review.comments, "the comment")
        assert stage.review.comments()[0].text == "Why?\nBecause x is the input."
        assert view.go_to_remark(answer)
        await stage.press("Q")
        await stage.until(lambda: isinstance(stage.app.focused, Input | TextArea), "the line to ask in")
        await stage.press("ctrl+r")
        await stage.until(lambda: len(stage.review.remarks.all()) == 1, "the answer goes")
    async with Stage(root).run(size=size) as stage:
        stage.screen.review.reload()
        await stage.until(lambda: stage.screen.review.total == 2)
        await stage.press("f4")
        await stage.until(lambda: "Then None comes back." in rows(stage), "the answer, again")


async def test_a_take_replaces_the_hunk_and_u_brings_it_back(root: Path) -> None:
    async with Stage(root).run() as stage:
        await opened(stage)
        begun = FileImage(AFTER.replace("return x", "return 1").encode())
        takes = [FileImage(AFTER.replace("return x", f"return {name}").encode()) for name in ("p", "q")]
        stage.agent.hunks.found = Takes(
            tuple(Take({"a.py": begun}, {"a.py": take}, f"`{n}`") for n, take in enumerate(takes)), 3, 1, "No."
        )
        await stage.press("g", *"jjjj", "r")
        await stage.press(*"shorter", "enter")
        await stage.until(lambda: stage.app.screen is not stage.screen and stage.app.screen.id != "", "takes")
        await stage.until(lambda: bool(stage.app.screen.query("#takes-box")), "the takes")
        (asked,) = stage.agent.hunks.retaken
        assert (asked.calls, asked.wish) == ({"a.py": ("c0",)}, "shorter")
        assert (asked.before, asked.now) == ({"a.py": begun}, {"a.py": FileImage(AFTER.encode())})
        await stage.press("right", "enter")
        await stage.until(lambda: (root / "a.py").read_bytes() == takes[1].data, "the take")
        await stage.until(lambda: "return q" in rows(stage), "it is shown")
        assert stage.screen.review.total == 2
        await stage.press("u")
        await stage.until(lambda: (root / "a.py").read_text() == AFTER, "the hunk is back")
    assert "return q" not in Review(root).feedback()


@pytest.mark.parametrize("of_turn", [False, True])
async def test_a_take_of_a_file_or_a_turn_is_one_decision(root: Path, of_turn: bool) -> None:
    async with Stage(root).run(size=(80, 24)) as stage:
        await opened(stage)
        begun: dict[str, FileImage | None] = {"a.py": FileImage(BEFORE.encode())}
        after: dict[str, FileImage | None] = {
            "a.py": FileImage(BEFORE.replace("return 1", "return p").encode())
        }
        if of_turn:
            begun, after = {**begun, "n/b.py": None}, {**after, "n/b.py": FileImage(b"new\n")}
        stage.agent.hunks.found = Takes((Take(begun, after, "so"),), 1, 0)
        written = stage.agent.hunks.go_on if of_turn else None
        await stage.press("g", *(("T",) if of_turn else ()))
        await stage.until(lambda: bool(stage.app.screen.query("#listing-box")) == of_turn, "the turns")
        await stage.press("r")
        await stage.until(lambda: isinstance(stage.app.focused, Input), "the wish")
        if written is not None:
            # They come while the user writes elsewhere, and wait there.
            written.clear()
            await stage.press("enter")
            await stage.until(lambda: bool(stage.agent.hunks.retaken), "the takes begin")
            await stage.press("f5")
            written.set()
            told = stage.app._notifications
            await stage.until(lambda: any("are there: r" in note.message for note in told), "the takes")
            assert not stage.app.screen.query("#takes-box")
            await stage.press("f4", "r")
        else:
            await stage.press("enter")
        await stage.until(lambda: bool(stage.app.screen.query("#takes-box")), "the takes")
        (asked,) = stage.agent.hunks.retaken
        assert (asked.path, asked.is_hunk) == ("" if of_turn else "a.py", False)
        assert asked.calls == {"a.py": ("c0", "c1")} and asked.before == {"a.py": FileImage(BEFORE.encode())}
        await stage.press("enter")
        added = root / "n" / "b.py"
        await stage.until(
            lambda: "return p" in (root / "a.py").read_text() and added.exists() == of_turn, "the take"
        )
        await stage.until(
            lambda: "return p" in rows(stage) and ("b.py" in rows(stage)) == of_turn, "it is shown"
        )
        await stage.press("u")
        await stage.until(
            lambda: (root / "a.py").read_text() == AFTER and not (root / "n").exists(), "all is back"
        )


async def test_doubt_is_told_tinted_and_gone_through(root: Path) -> None:
    async with Stage(root).run() as stage:
        await opened(stage)
        await stage.until(lambda: rows(stage).count("1 doubtful line") == 2, "the headings")
        assert "+?" not in rows(stage)
        view = stage.screen.review.view
        await stage.press("d", "n")
        await stage.until(lambda: rows(stage).count("+?") == 2, "the tint")
        lines = []
        for key in ("n", "p"):
            lines.append(view.current_diff_line)
            await stage.press(key)
        assert [line and line.text.strip() for line in [*lines, view.current_diff_line]] == [
            "y = 3",
            "return x",
            "y = 3",
        ]
        await stage.press("d")
        await stage.until(lambda: "+?" not in rows(stage), "no tint")
