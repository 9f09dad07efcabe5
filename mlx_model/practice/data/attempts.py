"""The edits that a model in training would make itself where the expert made one, for its mistakes to be put
right by the expert (Ross et al. 2011, DAgger: a learner must see what its own mistakes lead to)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from mlx_model.practice.data.transcripts import Renderer, Writer, read_transcripts
from mlx_model.practice.decoding import replies
from mlx_model.practice.export import END
from mlx_model.practice.training.run_folder import RunFolder, shape_of
from mlx_model.practice.trunk.network import Network

_AT_ONCE = 24
_LONGEST_PROMPT = 1000
_LONGEST_REPLY = 220
"""Tokens. Few edits need more than 150."""
_CALL = re.compile(r"(.*?)\n\n<tool_call>\n<function=edit>\n(.*)\n</function>\n</tool_call>", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=(\w+)>\n(.*?)\n</parameter>", re.DOTALL)


def attempts(run: Path, files: list[Path]) -> Iterator[dict[str, Any]]:
    """Of each transcript and each edit in it that is to be learnt: the transcript with `turn`, which message
    that is, and `attempt`, the message that the averaged weights of `run` would have sent, greedily. Left out
    are edits just like the expert's, and replies that are no edit. Raises ConfigError."""
    torch.set_num_threads(1)
    state = RunFolder(run).load()
    network = Network(shape_of(state), torch.bfloat16)
    network.load_state_dict(state["average"])
    renderer, writer = Renderer(run), Writer(run)
    stop = renderer.tokenizer.token_to_id(END)
    asked = []
    for file in files:
        for record in read_transcripts(file):
            pieces = writer.pieces(record["messages"])
            for turn, message in enumerate(record["messages"]):
                if _arguments(message) and turn not in record["masked"]:
                    text = "".join(pieces[:turn]) + writer.turn
                    prompt = renderer.tokenizer.encode(text, add_special_tokens=False).ids
                    if len(prompt) <= _LONGEST_PROMPT:
                        asked.append((prompt, record, turn))
    asked.sort(key=lambda one: len(one[0]))  # little padding
    for start in range(0, len(asked), _AT_ONCE):
        some = asked[start : start + _AT_ONCE]
        written = replies(network, [prompt for prompt, _, _ in some], stop, _LONGEST_REPLY)
        for (_, record, turn), reply in zip(some, written, strict=True):
            attempt = _message(renderer.tokenizer.decode(reply, skip_special_tokens=False))
            if attempt is not None and _arguments(attempt) != _arguments(record["messages"][turn]):
                yield {**record, "turn": turn, "attempt": attempt}


def _message(text: str) -> dict[str, Any] | None:
    """A reply as a message; None where it is not one whole edit."""
    found = _CALL.fullmatch(text)
    arguments = dict(_PARAMETER.findall(found[2])) if found else {}
    if found is None or list(arguments) != ["file_path", "old_string", "new_string"]:
        return None
    function = {"name": "edit", "arguments": arguments}
    return {
        "role": "assistant",
        "content": found[1],
        "tool_calls": [{"type": "function", "function": function}],
    }


def _arguments(message: Mapping[str, Any]) -> dict[str, str]:
    """Of a call of edit; empty for other messages."""
    calls = message.get("tool_calls") or ()
    return dict(calls[0]["function"]["arguments"]) if calls and calls[0]["function"]["name"] == "edit" else {}
