"""Taking the conversation back to before a turn, and forward again; nothing that was said is ever lost."""

from collections.abc import Callable

import pytest

from app.agent.errors import AgentBusy, SessionError
from app.agent.events import TextStreamed, TurnStarted
from app.agent.session.branches import active, rewind_points
from app.agent.session.index import sessions
from app.agent.session.records import Rewound, SessionBegan
from app.agent.session.session import fork_session, open_journal, read_session
from app.review.model import FileImage
from tests.support.agent.agent_bench import Bench, check_well_formed, end_of
from tests.support.agent.scripted_server import call, reply

Make = Callable[..., Bench]


def words(messages: list[dict[str, object]]) -> list[str]:
    """What the user and the model said, without the context blocks."""
    return [str(m["content"]).rpartition("</context>")[2].strip() for m in messages if m["role"] != "tool"]


def shown(b: Bench) -> list[str]:
    return [e.text for e in b.agent.history() if isinstance(e, TurnStarted | TextStreamed)]


async def test_back_to_before_a_turn_and_forward_again(bench: Make) -> None:
    b = bench(*[reply(f"answer {n}") for n in range(1, 7)])
    for n in (1, 2, 3):
        await b.run(f"question {n}")
    before = b.agent.messages
    first, second, third = b.agent.rewind_points()
    assert [(p.turn, p.text, p.ahead) for p in (first, second, third)] == [
        (n, f"question {n}", 0) for n in (1, 2, 3)
    ]
    b.agent.go_to(second)
    assert shown(b) == ["question 1", "answer 1"]
    *_, ahead = b.agent.rewind_points()
    assert (ahead.turn, ahead.text, ahead.ahead) == (2, "question 2", 2)
    b.agent.go_to(ahead)
    assert b.agent.messages == before, "nothing was said since: all is as it was"
    assert len(b.agent.rewind_points()) == 3
    b.agent.go_to(second)
    assert end_of(await b.run("another 2")).turn == 4, "a number stands for one turn for ever"
    assert words(b.sent) == ["question 1", "answer 1", "another 2"]
    assert "took the conversation back" in str(b.sent[-1]["content"])
    await b.run("another 3")
    assert "took the conversation back" not in str(b.sent[-1]["content"])
    check_well_formed(b.sent)
    # What was left can still be gone to, and what was said instead then is what can be gone forward to.
    *_, left = b.agent.rewind_points()
    b.agent.go_to(left)
    assert b.agent.messages == before
    assert [p.text for p in b.agent.rewind_points() if p.ahead] == ["another 2"]


async def test_a_session_goes_on_where_it_was_taken_back_to(bench: Make) -> None:
    b = bench(*[reply(f"answer {n}") for n in range(1, 5)], reply("fork"))
    for n in (1, 2, 3):
        await b.run(f"question {n}")
    b.agent.rename("Kept")
    b.agent.mode = "plan"
    b.agent.effort = "low"
    b.agent.go_to(b.agent.rewind_points()[0])
    session = b.agent.session_id
    await b.close()
    assert [found.id for found in sessions(b.root)] == [session], "it is kept, though nothing stands in it"
    b.open(open_journal(b.root, session))
    assert (b.agent.messages, b.agent.mode, b.agent.effort, shown(b)) == ((), "plan", "low", [])
    await b.run("anew")
    assert words(b.sent) == ["anew"]
    b.open(open_journal(b.root, fork_session(b.root, session)))
    left = [place for place in b.agent.rewind_points() if place.ahead == 3]
    b.agent.go_to(left[0])
    await b.run("question 4")
    assert words(b.sent) == [f"{w} {n}" for n in (1, 2, 3) for w in ("question", "answer")] + ["question 4"]
    assert len(active(read_session(b.root, session))) < len(active(read_session(b.root, b.agent.session_id)))


async def test_what_was_compacted_stands_whole_before_it(bench: Make) -> None:
    b = bench(*[reply(f"answer {n}") for n in range(1, 5)])
    for n in (1, 2, 3):
        await b.run(f"question {n}")
    whole = b.agent.messages
    assert b.agent.compact()
    b.agent.go_to(b.agent.rewind_points()[2])
    assert b.agent.messages == whole[:4]


async def test_a_file_is_read_again_after_going_back(bench: Make) -> None:
    edit = call("edit", file_path="notes.md", old_string="two", new_string="2")
    b = bench(
        reply(call("read_file", file_path="notes.md")),
        reply("I see."),
        reply(edit),
        reply("Done."),
    )
    b.recorder.rejected = "notes.md:2\n-two"
    await b.run("Look.")
    b.agent.go_to(b.agent.rewind_points()[0])
    assert b.recorder.turns[-1] == "retell 1", "what was rejected is told once more"
    await b.run("Change it.")
    assert (b.root / "notes.md").read_text() == "one\n2\nthree\n"
    assert b.recorder.records[-1][1] == FileImage(b"one\ntwo\nthree\n")


async def test_nothing_moves_while_a_turn_runs_or_to_nowhere(bench: Make) -> None:
    b = bench(reply("one"), reply("two"))
    await b.run("first")
    place = b.agent.rewind_points()[0]

    def try_it(event: object) -> bool:
        if isinstance(event, TextStreamed):
            with pytest.raises(AgentBusy):
                b.agent.go_to(place)
        return False

    await b.run("second", try_it)
    b.agent.go_to(place)
    with pytest.raises(SessionError, match="any more"):
        b.agent.go_to(type(place)(99, 1, ""))


def test_a_log_that_goes_to_nowhere_is_damaged() -> None:
    with pytest.raises(ValueError, match="goes to"):
        rewind_points((SessionBegan(1, "/x", "today"), Rewound(5)))
