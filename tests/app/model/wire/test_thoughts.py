"""A model's thought, however a server spells it, is no part of its answer."""

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.model.events import StreamEvent, TextDelta, TextWasThought, ThoughtDelta
from app.model.wire.chunks import ReplyReader

LONG = "Shall I? A < b, </thin air>, maybe.\nYes: </think> is a tag.\n"


def read(deltas: Sequence[dict[str, str]]) -> tuple[str, str]:
    """The thought and the answer."""
    reader = ReplyReader()
    events: list[StreamEvent] = []
    for delta in deltas:
        events += reader.feed(json.dumps({"choices": [{"index": 0, "delta": delta}]}))
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    events += reader.feed(json.dumps(end))
    thought = answer = ""
    for event in events:
        match event:
            case ThoughtDelta(text):
                thought += text
            case TextDelta(text):
                answer += text
            case TextWasThought():
                thought, answer = thought + answer, ""
    return thought, answer


def pieces(text: str, cuts: Sequence[int]) -> list[dict[str, str]]:
    bounds = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    return [{"content": text[a:b]} for a, b in pairwise(bounds)]


SPELLINGS = {
    "<think>Hm.</think>Yes.": ("Hm.", "Yes."),
    "\n<think>\nHm.\n</think>\n\nYes.\n": ("\nHm.\n", "Yes.\n"),
    "Hm.\nWell.\n</think>\n\nYes.": ("Hm.\nWell.\n", "Yes."),
    "Hm.\n</think>": ("Hm.\n", ""),
    "<think>Hm. And the limit ca": ("Hm. And the limit ca", ""),
    "<think>\n\n</think>\n\nYes.": ("\n\n", "Yes."),
    "Yes. <think> is a tag.": ("", "Yes. <think> is a tag."),
    "Write `</think>` or\n```\n</think>\n```\nthere.": ("", "Write `</think>` or\n```\n</think>\n```\nthere."),
    "a </think>\nb\n": ("", "a </think>\nb\n"),
    "a < b": ("", "a < b"),
    "<": ("", "<"),
    "<think>a</think>b\n</think>\nc": ("a", "b\n</think>\nc"),
}


@pytest.mark.parametrize("text", SPELLINGS)
@given(cuts=st.lists(st.integers(0, 80), max_size=12))
def test_thoughts_in_the_text_are_told_apart_however_it_is_cut(text: str, cuts: list[int]) -> None:
    assert read(pieces(text, cuts)) == SPELLINGS[text]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_in_a_field_of_their_own_are_none_of_the_text(field: str) -> None:
    deltas = [{field: LONG[:9]}, {field: LONG[9:]}, {"content": "Yes,\n</think>\n"}, {"content": "as text."}]
    assert read(deltas) == (LONG, "Yes,\n</think>\nas text.")
