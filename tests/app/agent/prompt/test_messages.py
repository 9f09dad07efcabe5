"""What a message becomes: mentions, the user's own commands and skills, shell escapes, words in mid-turn."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.errors import AgentBusy
from app.agent.events import Attached, Steered, TextStreamed, ToolFinished, ToolStarted, TurnEnded
from app.agent.port import PermissionAnswer
from app.agent.prompt.mentions import Mention, find_mentions
from app.agent.session.session import open_journal
from tests.support.agent.agent_bench import Bench, check_well_formed, end_of
from tests.support.agent.scripted_server import Gate, call, reply

Make = Callable[..., Bench]
FILES = {"src/a.py", "src/", "src", "a b.txt", "odd.", "x:10", "ünï.md"}


def named(text: str) -> list[str]:
    return [mention.name for mention in find_mentions(text, FILES.__contains__)]


def test_mentions_are_what_is_there() -> None:
    assert named("Look at @src/a.py, then (@src/a.py:10-40) and @src/.") == [
        "src/a.py",
        "src/a.py:10-40",
        "src/",
    ]
    assert named('"@ünï.md" and @"a b.txt":3 and @odd.') == ["ünï.md", "a b.txt:3", "odd."]
    assert named("someone@src/a.py @property @gone.py @@src/a.py x.@src/a.py") == []
    assert named("@x:10 @src/a.py:9 @src/a.py:9-2") == ["x:10", "src/a.py:9"]
    assert find_mentions("@src/a.py:9-2", FILES.__contains__) == [Mention("src/a.py", 9, 9)]


@given(st.text(alphabet='@a.py/:10-"\n ,)'))
def test_whatever_is_typed_only_what_is_there_is_mentioned(text: str) -> None:
    for mention in find_mentions(text, {"a", "a.py"}.__contains__):
        assert mention.path in {"a", "a.py"} and f"@{mention.path}" in text.replace('"', "")
        assert mention.first is None or 1 <= mention.first <= (mention.last or 0)


async def test_mentioned_files_go_along_and_may_be_edited_at_once(bench: Make) -> None:
    b = bench(
        reply(call("edit", file_path="notes.md", old_string="two", new_string="2")),
        reply("done"),
    )
    events = await b.run("Mend @notes.md:2-3, see @src/ but not @../outside.txt or @/etc/passwd.")
    assert [event.names for event in events if isinstance(event, Attached)] == [("notes.md:2-3", "src/")]
    told = b.sent[0]["content"]
    context, _, words = told.partition("</context>")
    assert words.strip().startswith("Mend @notes.md:2-3")
    assert "two\nthree" in context and "[Lines 2-3 of 3.]" in context and "a.py" in context
    assert "private\n" not in told and "root:x" not in told
    assert (b.root / "notes.md").read_text() == "one\n2\nthree\n"
    again = [event for event in b.agent.history() if isinstance(event, Attached)]
    assert again == [Attached(("notes.md:2-3", "src/"))]


async def test_a_link_out_of_the_workspace_is_not_read_by_a_mention(bench: Make) -> None:
    b = bench(reply("done"))
    (b.root / "link").symlink_to(b.root.parent / "outside.txt")
    await b.run(f"See @link and @{'x' * 300}, which is no name at all")
    assert "private" not in b.sent[0]["content"]


async def test_commands_and_skills_of_the_users_own(bench: Make, home: Path) -> None:
    b = bench(*[reply("ok")] * 5)
    own, shared = b.root / ".tidegate", home / "config"
    (own / "commands").mkdir(parents=True)
    (shared / "commands").mkdir(parents=True)
    (shared / "skills" / "pdf").mkdir(parents=True)
    (own / "commands" / "check.md").write_text(
        "---\ndescription: Check one thing\n---\nCheck $1 in $2, all: $ARGUMENTS. See @notes.md\n"
    )
    (shared / "commands" / "check.md").write_text("the workspace's goes first")
    (shared / "commands" / "plain.md").write_text("# Just do it\n\nDo it.")
    (shared / "commands" / "bad name.md").write_text("x")
    skill = shared / "skills" / "pdf" / "SKILL.md"
    skill.write_text("---\nname: pdf\ndescription: Read PDF files\n---\nUse pdftotext.\n")
    assert b.agent.user_commands() == (
        ("check", "Check one thing"),
        ("pdf", "Read PDF files"),
        ("plain", "Just do it"),
    )
    await b.run("/check 'a b' c")
    told = b.sent[-1]["content"]
    assert told.endswith("Check a b in c, all: 'a b' c. See @notes.md") and "one\ntwo" in told
    assert told.count(f"- pdf: Read PDF files ({skill})") == 1
    await b.run("/plain now")
    assert b.sent[-1]["content"].endswith("Do it.\n\nnow") and "Skills." not in b.sent[-1]["content"]
    await b.run("/pdf x.pdf")
    assert f"files are in {skill.parent}.\n\nUse pdftotext.\n\nx.pdf" in b.sent[-1]["content"]
    await b.run("/nothing of the kind")
    assert b.sent[-1]["content"].endswith("/nothing of the kind")


async def test_the_model_may_read_skills_outside_the_workspace(bench: Make, home: Path) -> None:
    skill = home / "config" / "skills" / "s" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text("Secret of the craft.")
    b = bench(reply(call("read_file", file_path=str(skill))), reply("ok"), mode="ask")
    await b.run()
    assert b.results() == ["Secret of the craft."]


async def test_what_the_user_runs_is_told_with_the_next_turn_once(bench: Make) -> None:
    b = bench(reply("one"), reply("two"))
    events = [event async for event in b.agent.run_command("cat notes.md; exit 3")]
    finished = next(event for event in events if isinstance(event, ToolFinished))
    assert not finished.ok and "one\ntwo\nthree" in finished.result
    assert isinstance(events[-1], TurnEnded) and not b.server.requests and not b.asker.requests
    await b.close()
    assert b.recorder.turns == [], "what the user does is the user's own change"


async def test_shell_output_reaches_the_model_even_after_a_restart(bench: Make) -> None:
    b = bench(reply("one"), reply("two"), reply("three"))
    await b.run("first")
    async for _event in b.agent.run_command("cat notes.md; exit 3"):
        pass
    await b.close()
    b.open(open_journal(b.root, b.agent.session_id))
    await b.run("second")
    assert "$ cat notes.md; exit 3\none\ntwo\nthree\n[Exit status 3]" in b.sent[-1]["content"]
    await b.run("third")
    assert "cat notes.md" not in b.sent[-1]["content"]
    check_well_formed(b.sent)
    begun = [event.summary for event in b.agent.history() if isinstance(event, ToolStarted)]
    assert begun == ["$ cat notes.md; exit 3"]


async def test_the_users_command_is_confined_and_asks_to_leave(bench: Make) -> None:
    b = bench()
    b.asker.answers = [PermissionAnswer("deny")]
    target = Path.home() / "tidegate-test-outside"
    events = [event async for event in b.agent.run_command(f"touch {target}")]
    if not b.asker.requests:
        pytest.skip("there is no sandbox here")
    assert not target.exists() and "sandbox" in b.asker.requests[0].reason
    assert not next(event for event in events if isinstance(event, ToolFinished)).ok


async def test_a_command_of_the_users_can_be_stopped(bench: Make) -> None:
    b = bench(reply("fine"))
    events = []
    async for event in b.agent.run_command("echo started; sleep 300"):
        events.append(event)
        if type(event).__name__ == "ToolOutput":
            b.agent.cancel()
    assert isinstance(events[-1], TurnEnded) and events[-1].reason == "cancelled"
    await b.run("next")
    assert "sleep 300\nCancelled by the user." in b.sent[-1]["content"]


async def test_steering_is_taken_between_two_steps(bench: Make) -> None:
    gate = Gate()
    b = bench(
        reply("Working. ", gate, call("glob", pattern="*.md")),
        reply("Ended. "),
        reply("Steered."),
    )

    async def steer() -> None:
        await gate.wait_reached()
        b.agent.steer("Rather look at @notes.md")
        gate.open()

    task = asyncio.create_task(steer())
    events = await b.run("Begin.")
    await task
    assert end_of(events).reason == "done"
    assert Steered("Rather look at @notes.md") in events and Attached(("notes.md",)) in events
    assert [message["role"] for message in b.sent] == ["user", "assistant", "tool", "user"]
    assert b.sent[-1]["content"].endswith("Rather look at @notes.md") and "three" in b.sent[-1]["content"]
    check_well_formed(b.sent)
    first, second = b.server.requests[:2]
    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert b.agent.take_back() == ()


async def test_steering_at_the_very_end_goes_on_and_after_a_stop_is_given_back(bench: Make) -> None:
    b = bench(reply("Said."), reply("And more."), reply("x", Gate()))
    said = False

    def steer_once(event: object) -> bool:
        nonlocal said
        if isinstance(event, TextStreamed) and not said:
            said = True
            b.agent.steer("More?")
        return False

    events = await b.run("Begin.", until=steer_once)
    assert "".join(event.text for event in events if isinstance(event, TextStreamed)) == "Said.And more."
    await b.run("Again.", until=lambda event: isinstance(event, TextStreamed))
    b.agent.steer("Never taken")
    assert b.agent.take_back() == ("Never taken",)


async def test_compaction_on_demand(bench: Make) -> None:
    b = bench(reply("one"), reply("two"), reply("three"), Gate)
    assert not b.agent.compact()
    await b.run("first wish")
    await b.run("second wish")
    assert b.agent.compact()
    assert not b.agent.compact(), "there is nothing more to leave out"
    use = b.agent.context_use()
    assert use.used > sum(tokens for name, tokens in use.parts if "prompt" in name) > 0
    await b.run("third")
    assert "first wish" in b.sent[0]["content"] and "In short" in b.sent[0]["content"]
    assert b.sent[1]["content"].endswith("second wish")
    stream = b.agent.run_turn("busy")
    with pytest.raises(AgentBusy):
        async for _event in stream:
            b.agent.compact()
