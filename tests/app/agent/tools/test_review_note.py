"""What the agent says in the review stands where it belongs, and a turn's end sums up what it did."""

from collections.abc import Callable

from app.agent.events import TurnEnded, TurnSummarized
from app.agent.session.session import new_journal, open_journal
from app.review.model import FileSummary
from app.review.remarks.model import Note, ReadingOrder
from app.review.review import Review
from tests.support.agent.agent_bench import Bench, end_of
from tests.support.agent.scripted_server import call, reply

Make = Callable[..., Bench]


def note(**arguments: object) -> object:
    return call("review_note", **arguments)


async def test_the_agent_notes_replies_and_proposes_an_order(bench: Make) -> None:
    b = bench(
        reply(call("read_file", file_path="src/a.py")),
        reply(
            call("edit", file_path="src/a.py", old_string="return 1", new_string="return 2"),
            call("write_file", file_path="new.txt", content="hello\nyou\n"),
            note(at="src/a.py:2", text="Two,\nfor that is asked."),
            note(at="src/a.py:40", text="Nowhere."),
            note(at="notes.md:1", text="Not mine."),
            note(text="About what?"),
            note(comment=99, text="Which?"),
            note(order=["new.txt", "src/a.py:2"]),
        ),
        reply("Done."),
        reply(
            call("edit", file_path="src/a.py", old_string="return 2", new_string="return 3"),
            note(at="src/a.py:2", comment=1, done=True, text="Three now."),
            note(at="src/a.py:2", text="Three."),
        ),
        reply("Done."),
    )
    await b.close()
    review = Review(b.root)
    b.recorder = review  # type: ignore[assignment]
    b.open(new_journal(b.root))
    events = await b.run()
    assert end_of(events) == TurnEnded(1, "done")
    summaries = [event.files for event in events if isinstance(event, TurnSummarized)]
    assert summaries == [(FileSummary("new.txt", 2, 0), FileSummary("src/a.py", 1, 1, 1))]
    _, _, _, noted, far, others, nothing, unknown, ordered = b.results()
    assert noted == "Noted." and "proposed" in ordered
    assert "they are at lines 2-2" in far and "No change of yours in notes.md" in others
    assert "PATH:LINE" in nothing and "comments: there are none" in unknown
    change = next(change for change in review.changes() if change.path == "src/a.py")
    hunk = change.hunks[0]
    said, order = review.remarks.all()
    assert said == Note(said.id, "src/a.py", 2, "    return 2\r", "Two, for that is asked.", hunk=hunk.id)
    assert isinstance(order, ReadingOrder) and order.text == "new.txt\nsrc/a.py:2"

    comment = review.comment("src/a.py", 2, "    return 2\r", "Make it three.", hunk=hunk.id)
    assert comment.id == 1
    events = await b.run("Again.")
    told = next(message["content"] for message in reversed(b.sent) if message["role"] == "user")
    assert "Comment 1, src/a.py:2" in told
    summaries = [event.files for event in events if isinstance(event, TurnSummarized)]
    assert summaries == [(FileSummary("src/a.py", 1, 1, 1),)]
    now = next(change for change in review.changes() if change.path == "src/a.py").hunks[0].id
    done = next(one for one in review.remarks.all() if isinstance(one, Note) and one.comment)
    assert (done.comment, done.is_done, done.done_by, done.hunk) == (1, True, now, hunk.id)
    assert done.text == "Three now. (src/a.py:2)"
    # The session shows its summaries again, and goes on after them.
    name = b.agent.session_id
    await b.close()
    b.open(open_journal(b.root, name))
    shown = [event.files for event in b.agent.history() if isinstance(event, TurnSummarized)]
    assert len(shown) == 2 and shown[1] == summaries[0]
