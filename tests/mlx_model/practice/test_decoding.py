"""The network's replies to many prompts at once, against the network itself on each."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")

from mlx_model.practice.decoding import replies  # noqa: E402
from mlx_model.practice.training.run_folder import RunFolder, shape_of  # noqa: E402
from mlx_model.practice.trunk.network import Network  # noqa: E402


def test_replies_are_the_likeliest_tokens_whatever_stands_beside_a_prompt(run: RunFolder) -> None:
    state = run.load()
    network = Network(shape_of(state))
    network.load_state_dict(state["weights"])
    generator = np.random.default_rng(0)
    prompts = [[int(token) for token in generator.integers(0, 300, length)] for length in (70, 4, 33)]
    together = replies(network, prompts, stop=-1, most=9)
    with torch.no_grad():
        for prompt, reply in zip(prompts, together, strict=True):
            logits = network.lm_head(network.hidden(torch.tensor([prompt + reply])))[0]
            assert reply == logits.argmax(-1)[len(prompt) - 1 : -1].tolist()
    stop = together[0][5]
    assert replies(network, prompts[:1], stop, most=9)[0] == together[0][: together[0].index(stop)]
