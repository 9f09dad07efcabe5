"""What is kept of a reply's doubt says of each line of a file how sure the model was of it."""

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.agent.hunks.doubt import LineDoubt, doubt_of, lines_of, pack
from app.agent.session.records import MessageAdded, decode, encode
from app.model.events import TokenChance
from app.model.messages import Message, ToolCall

TEXTS = st.text("abé\n ü<>/=", max_size=40)


def reply(values: list[str], cuts: list[int]) -> tuple[list[ToolCall], list[TokenChance]]:
    """Calls of edit that write `values`, and the reply's tokens, cut anywhere. The probability of a token is
    that of its first character's place in the reply."""
    text, calls = "I say <new_string>\n", []
    for number, value in enumerate(values):
        text += f"<tool_call>\n<function=edit>\n<parameter=new_string>\n{value}\n</parameter>\n"
        calls.append(ToolCall(f"c{number}", "edit", json.dumps({"file_path": "a.py", "new_string": value})))
    ends = sorted({cut % len(text) for cut in cuts} | {0, len(text)})
    pairs = pairwise(ends)
    return calls, [TokenChance(text[a:b], (a % 251) / 255, (a % 251) / 127.5 - 1) for a, b in pairs]


@given(st.lists(TEXTS, min_size=1, max_size=3), st.lists(st.integers(0, 500), max_size=60))
def test_each_line_has_its_most_doubtful_token(values: list[str], cuts: list[int]) -> None:
    calls, tokens = reply(values, cuts)
    packed = pack(calls, tokens)
    kept = decode(json.loads(encode(MessageAdded(Message("assistant", "", tuple(calls)), doubt=packed))))
    assert isinstance(kept, MessageAdded) and kept.doubt == packed
    text = "".join(token.text for token in tokens)
    chance = [token.probability for token in tokens for _ in token.text]
    at = 0
    for call, value in zip(calls, values, strict=True):
        start = at = text.index(f"=new_string>\n{value}\n", at) + 13
        expected = []
        for line in value.split("\n"):
            end = min(start + len(line) + 1, at + len(value))
            if line:
                expected.append((line, min(chance[start:end])))
            start += len(line) + 1
        found = [(line.text, line.probability) for line in lines_of(call.arguments, packed[call.id])]
        assert [one for one, _ in found] == [one for one, _ in expected]
        assert all(abs(a - b) < 0.003 for (_, a), (_, b) in zip(found, expected, strict=True))


def test_parts_of_lines_and_new_indentation_are_found() -> None:
    written = [
        LineDoubt("return x", 0.1, 0.0, is_begun=False),
        LineDoubt("    y = 2", 0.2, 0.0),
        LineDoubt("    z", 0.3, 0.0, is_ended=False),
    ]
    added = ["    if a: return x", "other", "        y = 2", "        z = 3"]
    assert [one and one.probability for one in doubt_of(written, added)] == [0.1, None, 0.2, 0.3]
