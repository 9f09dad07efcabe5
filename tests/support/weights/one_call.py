"""A checkpoint that makes one call whatever it is asked, by its weights: engine, server and wire are the real
ones, and what comes of them can be told beforehand.

Its layers add nothing, so that the hidden state is the last token's embedding, one dimension a token. The head
knows what follows the tokens of the call that occur once; where the grammar leaves a choice behind others, it
prefers the call's own words to anything else.
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import pre_tokenizers

from tests.support.weights.checkpoints import random_tensors, tiny_config, write_tensors
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

_PIECE = 12  # characters
_BEGIN = "<|reply|>"
_PARAMETER = "<parameter="
_END = "\n</parameter>\n</function>\n"
_SILENT = ("o_proj.weight", "out_proj.weight", "down_proj.weight")


def one_call_checkpoint(directory: Path, tool: str, parameter: str, value: str, **config: Any) -> Path:
    """A qwen3_next checkpoint that calls `tool` with `value`; `config` replaces fields of the small config."""
    write_small_tokenizer(directory)
    cuts = [*range(0, max(1, len(value) - _PIECE + 1), _PIECE), len(value)]
    pieces = [value[start:end] for start, end in pairwise(cuts)]
    tokens = _add(directory, [tool, parameter, _PARAMETER, _END, *pieces])
    stop = json.loads((directory / "generation_config.json").read_text())["eos_token_id"][0]

    sizes = {"hidden_size": VOCABULARY, "vocab_size": VOCABULARY, "num_experts": 4}
    sizes |= {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
    settings = tiny_config(eos_token_id=stop, **sizes, **config)
    tensors = random_tensors(settings)
    for name in tensors:
        if name.endswith(_SILENT):
            tensors[name] = np.zeros_like(tensors[name])
    tensors["model.embed_tokens.weight"] = np.eye(VOCABULARY, dtype=np.float32)
    tensors["model.norm.weight"] = np.zeros(VOCABULARY, np.float32)
    head = np.zeros((VOCABULARY, VOCABULARY), np.float32)  # next token, last token
    # Parameters, and not the object that may stand in their place.
    for weight, wanted in {4: _PARAMETER, 5: parameter, 6: tool, 7: pieces[0], -1: _END}.items():
        head[tokens[wanted]] = weight
    for before, after in (
        (tokens[_BEGIN], tokens["<tool_call>"]),
        *pairwise(tokens[text] for text in (*pieces, _END, "</tool_call>")),
        (tokens["</tool_call>"], stop),
    ):
        head[after, before] = 20
    tensors["lm_head.weight"] = head
    write_tensors(directory, tensors)
    (directory / "config.json").write_text(json.dumps(settings))
    return directory


def _add(directory: Path, pieces: list[str]) -> dict[str, int]:
    """Put the pieces into the vocabulary: no merge makes them, so that text is encoded as without them. And let
    replies begin behind a token of their own. Returns the tokens by their text."""
    file, template = directory / "tokenizer.json", directory / "chat_template.jinja"
    described = json.loads(file.read_text())
    tokens = {entry["content"]: entry["id"] for entry in described["added_tokens"]}
    vocabulary = described["model"]["vocab"]
    spelled = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    free = max(*tokens.values(), *vocabulary.values()) + 1
    for token, piece in enumerate(pieces, free + 1):
        ((name, _),) = spelled.pre_tokenize_str(piece)
        assert name not in vocabulary and piece not in tokens, f"{piece!r} is a token already"
        tokens[piece] = vocabulary[name] = token
    tokens[_BEGIN] = free
    described["added_tokens"].append({**described["added_tokens"][0], "id": free, "content": _BEGIN})
    assert max(tokens.values()) < VOCABULARY, "the call is too long"
    file.write_text(json.dumps(described))
    begins = "'<|im_start|>assistant\\n'"
    assert begins in template.read_text()
    template.write_text(template.read_text().replace(begins, begins[:-1] + _BEGIN + "'"))
    return tokens
