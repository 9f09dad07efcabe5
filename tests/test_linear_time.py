"""What reads text from outside takes time in proportion to its length, whatever the text."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from app.agent.editing.closest import closest
from app.agent.editing.match import find_matches
from app.agent.permission.commands.judge import judge
from app.agent.prompt.mentions import find_mentions
from app.agent.shell.refusals import was_kept_from_serving
from app.model.wire.characters import whole_characters
from app.model.wire.sse import EventDecoder
from app.review.diff.parse import parse_diff
from app.review.diff.received import only_colours
from app.review.diff.unseen import unseen_changes
from app.review.diff.words import word_marks
from app.terminal_output import Cleaner, clean
from app.ui.drawing.text import visible_block
from mlx_model.chat.tools.parser import ToolCallParser

LENGTH = 6_000  # characters; the second text has four times as many
PIECES = (
    *(" ", "\t", "\r", "a", "é", "\n", "\r\n", "\x1b[", "\x1b]", "\x1b[0;", " \n", "a\r", "\u200b"),
    *("<", "<tool_call>", "<function=", "<parameter=a>", "</parameter>", "@", "@a/", "a:1 ", "(", "$(", "`"),
    *('"', "'", "\\", "|", "[", "{", "@@ -1 +1 @@\n", "+a\n", "--- a\n", "data: ", "a b "),
)


def fed(feed: Callable[[str], object], text: str) -> None:
    """`text` in pieces, as it comes from a pipe."""
    for start in range(0, len(text), 64):
        feed(text[start : start + 64])


READERS: dict[str, Callable[[str], object]] = {
    "command output": clean,
    "command output in pieces": lambda text: fed(Cleaner().add, text),
    "edit": lambda text: find_matches(text, "x = 1", "x = 2"),
    "edit of a long quotation": lambda text: find_matches("x = 1\n" * 50, text + "x", "y"),
    "nearest text": lambda text: closest(text, "x = 1\ny = 2"),
    "mentions": lambda text: find_mentions(text, lambda _: False),
    "surrogates": whole_characters,
    "server-sent events": lambda text: fed(lambda piece: EventDecoder.feed(decoder, piece.encode()), text),
    "diff": lambda text: parse_diff(f"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-{text}".encode()),
    "word diff": lambda text: word_marks(text, text[: len(text) // 2] + "x"),
    "visible text": visible_block,
    "what is passed on": lambda text: only_colours(text.encode()),
    "refusals": lambda text: was_kept_from_serving(f"{text}\nEPERM\n{text}"),
    "lines that look the same": lambda text: unseen_changes(text, text + "\ufeff"),
    "tool calls": lambda text: fed(ToolCallParser({}).feed, text),
}
decoder = EventDecoder()


def seconds(read: Callable[[str], object], text: str) -> float:
    """CPU time of this thread alone, the least of two: other work on the machine does not count."""
    taken = []
    for _ in range(2):
        begun = time.thread_time()
        with suppress(Exception):  # a reader may refuse a text; how long it thinks about it is the question
            read(text)
        taken.append(time.thread_time() - begun)
    return min(taken)


@pytest.mark.parametrize("name", READERS)
def test_four_times_the_text_takes_less_than_nine_times_as_long(name: str) -> None:
    slow = []
    for piece in PIECES:
        for end in ("", "x", "\n"):
            text = piece * (LENGTH // len(piece))
            short, long = (seconds(READERS[name], times * text + end) for times in (1, 4))
            # Below ten milliseconds the clock says little.
            if long > 0.01 and long > 9 * short:
                slow.append((piece, end, f"{short:.4f} s, {long:.4f} s"))
    assert not slow


def test_a_command_too_long_to_be_parsed_is_asked_about(tmp_path: Path) -> None:
    assert judge("<" * 1_000_000, tmp_path, tmp_path).reasons
