"""Transcripts as tokens, each token with the part it plays in learning.

A transcript is one line of JSON: `messages` as the Chat Completions wire has them, arguments of tool calls as
mappings; `masked`, the indices of what the assistant should not have said (context, nothing to learn); and
`kind`, the kind of bug, for tables. The checkpoint's own chat template writes it as text.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from mlx_model.chat.template import ChatTemplate
from mlx_model.errors import ConfigError

_OLD, _NEW, _VALUE_END = "<parameter=old_string>\n", "<parameter=new_string>\n", "\n</parameter>"
_LINE = re.compile(r"(?:^|: |\. )((?:in |after |before )?`)([^`]*)`(?! gave)", re.IGNORECASE)
"""The line at fault, where a sentence comes to it; what the tests saw may stand before."""
_PLACE_TOKENS = 4
"""How many tokens of a line say which line it is."""
_AT_ONCE = 500
"""Transcripts tokenized in one call: enough to keep the library's threads busy."""


class Part(IntEnum):
    """What a token is to the learner."""

    CONTEXT = 0
    FILE = 1
    """The text of a file that was read."""
    REPLY = 2
    """A reply without an edit."""
    EDIT = 3
    """A reply with an edit, where it copies or is form."""
    SAID = 4
    """The sentence before an edit."""
    PLACE = 5
    """Which line is at fault: its first tokens in the sentence, with the word before it, and in old_string."""
    CHANGE = 6
    """What is wrong and what is right, as the sentence says after the line; the first token of new_string that
    differs; and where both strings end, which is just after what changes."""
    COPY = 7
    """The rest of new_string: what a model changes beside the bug, it changes here."""


WEIGHTS = (0.0, 0.05, 0.4, 0.6, 2.0, 4.0, 4.0, 2.0)
"""Of each part's loss. An edit's few deciding tokens carry about half of the whole."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One transcript: tokens [n] int16 and parts [n] uint8; `core` is what leads to its edits: from the first
    file, if nothing was seen before it, to the last edit."""

    tokens: NDArray[np.int16]
    parts: NDArray[np.uint8]
    kind: str
    core: slice


class Writer:
    """A checkpoint's chat template, one message at a time."""

    def __init__(self, directory: Path) -> None:
        """`directory` holds chat_template.jinja, which must write each message by itself. Raises
        CheckpointError."""
        self._template = ChatTemplate.from_directory(directory, {})
        self.turn = self._template.render([])
        """What precedes a reply."""

    def pieces(self, messages: Sequence[Mapping[str, Any]]) -> list[str]:
        """The text of each message."""
        return [self._template.render([message]).removesuffix(self.turn) for message in messages]

    def texts(self, path: Path) -> Iterator[str]:
        """The text of each transcript of a JSONL file. Raises ConfigError."""
        for record in read_transcripts(path):
            yield "".join(self.pieces(record["messages"]))


class Renderer:
    """A checkpoint's tokenizer and chat template over transcripts."""

    def __init__(self, directory: Path) -> None:
        """`directory` holds tokenizer.json and chat_template.jinja. Raises ConfigError and CheckpointError."""
        path = directory / "tokenizer.json"
        if not path.exists():
            raise ConfigError(f"{directory} has no tokenizer.json; `practice tokenizer` makes one.")
        self.tokenizer = Tokenizer.from_file(str(path))
        self._writer = Writer(directory)
        self._turn = self._writer.turn

    def samples(self, path: Path) -> Iterator[Sample]:
        """Every transcript of a JSONL file, in order."""
        records = read_transcripts(path)
        for start in range(0, len(records), _AT_ONCE):
            some = records[start : start + _AT_ONCE]
            written = [self._writer.pieces(record["messages"]) for record in some]
            encodings = self.tokenizer.encode_batch(
                ["".join(pieces) for pieces in written], add_special_tokens=False
            )
            for record, pieces, encoding in zip(some, written, encodings, strict=True):
                yield self._sample(record, pieces, encoding)

    def _sample(self, record: Mapping[str, Any], pieces: list[str], encoding: Encoding) -> Sample:
        starts = np.array([start for start, _ in encoding.offsets])
        parts = np.zeros(len(starts), np.uint8)
        masked = set(record.get("masked", ()))
        at, asked = 0, ""
        first: int | None = None
        last = len(starts)
        for index, (message, piece) in enumerate(zip(record["messages"], pieces, strict=True)):
            tokens = _within(starts, at, at + len(piece))
            if message["role"] == "tool" and first is None:
                first = tokens.start if asked == "read_file" else 0
            if message["role"] == "tool" and asked == "read_file":
                inside = piece.find(message["content"])
                parts[_within(starts, at + inside, at + inside + len(message["content"]))] = Part.FILE
            elif message["role"] == "assistant":
                asked = _tool(message)
                last = tokens.stop if asked == "edit" else last
                if index not in masked:
                    said = at + len(self._turn)
                    self._learn(parts, starts, said, piece[len(self._turn) :].removesuffix("\n"), asked)
            at += len(piece)
        return Sample(
            np.array(encoding.ids, np.int16), parts, str(record.get("kind", "")), slice(first or 0, last)
        )

    @staticmethod
    def _learn(parts: NDArray[np.uint8], starts: NDArray[np.int_], at: int, text: str, tool: str) -> None:
        """Marks the tokens of one reply, which begins at character `at`."""
        if tool != "edit":
            parts[_within(starts, at, at + len(text))] = Part.REPLY
            return
        parts[_within(starts, at, at + len(text))] = Part.EDIT
        said = text[: text.index("<tool_call>")]
        parts[_within(starts, at, at + len(said))] = Part.SAID
        (old_at, old), (new_at, new) = _value(text, _OLD), _value(text, _NEW)
        line = _LINE.search(said)
        if line is not None:
            quoted = _within(starts, at + line.start(2), at + line.end(2))
            place = _within(starts, at + max(0, line.start(1) - 1), at + line.end(2))
            parts[place.start : min(quoted.start + _PLACE_TOKENS, place.stop)] = Part.PLACE
            parts[_within(starts, at + line.end(), at + len(said))] = Part.CHANGE
        line_tokens = _within(starts, at + old_at, at + old_at + len(old) + 1)
        parts[line_tokens.start : min(line_tokens.start + _PLACE_TOKENS, line_tokens.stop)] = Part.PLACE
        parts[_within(starts, at + new_at, at + new_at + len(new) + 1)] = Part.COPY
        for end in (old_at + len(old), new_at + len(new)):
            parts[_within(starts, at + end, at + end + 1)] = Part.CHANGE
        same = next(
            (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
        )
        parts[int(np.searchsorted(starts, at + new_at + same, side="right")) - 1] = Part.CHANGE


def read_transcripts(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSONL file. Raises ConfigError."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as transcripts: {error}.") from error


def _within(starts: NDArray[np.int_], start: int, end: int) -> slice:
    """The tokens that begin in a run of characters."""
    return slice(int(np.searchsorted(starts, start)), int(np.searchsorted(starts, end)))


def _tool(message: Mapping[str, Any]) -> str:
    calls = message.get("tool_calls") or ()
    return str(calls[0]["function"]["name"]) if calls else ""


def _value(text: str, parameter: str) -> tuple[int, str]:
    start = text.index(parameter) + len(parameter)
    return start, text[start : text.index(_VALUE_END, start)]
