"""On random models of many shapes, whatever drafts and however deep: the reply is that of plain decoding, and
the state that of a cold prefill, also where replies are broken off and gone on with."""

import random
from pathlib import Path
from typing import Any

import pytest

from mlx_model.decode.drafting import Plan
from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.drafts.mtp import MtpDrafter
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.drafting import Depths, Oracle, asked, assert_cold, drafting_generator, reply
from tests.support.weights.checkpoints import DENSE_3_5, SPARSE_3_5, write_checkpoint
from tests.support.weights.models import load_tiny

VOCABULARY = 96
LENGTH = 200

SHAPES: dict[str, dict[str, Any]] = {
    "as the real one": {},
    "linear layers last": {"layer_types": ["full_attention", "linear_attention", "linear_attention"]},
    "attention only": {"layer_types": ["full_attention"] * 2},
    "dense, one key head": {"num_experts": 0, "num_key_value_heads": 1},
    "a wide convolution": {"linear_conv_kernel_dim": 8, "linear_num_value_heads": 2},
    "tied, one expert": {"tie_word_embeddings": True, "num_experts_per_tok": 1},
    "Qwen3.5, sparse": SPARSE_3_5,
    "Qwen3.5, dense": {**DENSE_3_5, "linear_num_value_heads": 6},
}

MTP_DEPTH = 7
"""The most that an MTP layer drafts at once, on any device."""


class Exactly(Depths):
    """As many drafts as there can be, up to so many."""

    def __init__(self, depth: int, seed: int) -> None:
        super().__init__(depth, seed)
        self._depth = depth

    def plan(self, outlooks, deepest) -> Plan:
        source = self._random.choice(sorted(outlooks))
        return Plan(source, min(self._depth, deepest[source]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("shape", SHAPES)
def test_thousands_of_tokens_at_every_depth(shape: str, tmp_path: Path) -> None:
    options = SHAPES[shape]
    layers = len(options.get("layer_types", [0] * 4))
    has_mtp = options.get("num_experts", 8) > 0 or "model_type" in options
    seed = sorted(SHAPES).index(shape)
    model = load_tiny(
        write_checkpoint(
            tmp_path, seed=seed, mtp=has_mtp, vocab_size=VOCABULARY, num_hidden_layers=layers, **options
        )
    )
    chance = random.Random(seed)
    start = tuple(chance.randrange(VOCABULARY) for _ in range(70))
    plain, _ = reply(drafting_generator(model), asked(start, LENGTH))
    sources = {"oracle": 16, "lookup": 16, **({"mtp": MTP_DEPTH, "all": 16} if has_mtp else {})}
    for source, deepest in sources.items():
        for depth in range(1, deepest + 1):
            drafters: list[Drafter] = []
            if source in ("oracle", "all"):
                drafters.append(Oracle([*start, *plain], VOCABULARY, depth))
            if source in ("lookup", "all"):
                drafters.append(LookupDrafter())
            if source in ("mtp", "all"):
                drafters.append(MtpDrafter(model, MTP_DEPTH))
            policy = Exactly(depth, seed)
            states = StoredStates(model, PrefixStore(1 << 28))
            chunk = chance.randrange(5, 80)
            generator = drafting_generator(model, *drafters, policy=policy, states=states, chunk=chunk)
            prompt = start
            while len(prompt) < len(start) + LENGTH:
                end = chance.randrange(1, 90)
                rest = LENGTH - (len(prompt) - len(start))
                tokens, _ = reply(generator, asked(prompt, rest), lambda count, end=end: count >= end)
                prompt = (*prompt, *tokens)
                assert prompt == (*start, *plain)[: len(prompt)], (source, depth)
            if source != "lookup":
                assert depth in {step.drafted for step in policy.steps}
            left = states.begin((*prompt, 1))
            assert left.length > len(start)
            assert_cold(model, prompt[: left.length], left)
