"""Where the time of a decoded token goes, part by part, each timed by itself: building the graph of the step
and submitting it, both on the host, waiting for the device, sampling, the grammar within a tool call, and
making text of the token. While a step is submitted the device has begun with it.

Serving overlaps them (the next step is submitted before the last token is read), so their sum is more than a
token takes: what matters is that the host's parts stay below the device's.
"""

import time
from collections.abc import Callable
from statistics import median

import mlx.core as mx

from mlx_model.chat.detokenizer import Detokenizer
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.request import SamplingParameters
from mlx_model.decode.sampling import Sampler
from mlx_model.model import Qwen3Next

_STEPS = 32
"""Steps of which the median counts."""
_CALL = "<tool_call>\n<function=read_file>\n<parameter=file_path>\nsrc/engine/decode/sampling.py"
_SCHEMAS = {"read_file": {"type": "object", "properties": {"file_path": {"type": "string"}}}}


def profile(model: Qwen3Next, tokenizer: Tokenizer | None) -> dict[str, float]:
    """Milliseconds of a token by part; grammar and text only with a tokenizer."""
    parts: dict[str, list[float]] = {"building": [], "submitting": [], "device": [], "sampling": []}
    state = model.state()
    sampler = Sampler(SamplingParameters(seed=0), model.vocabulary, [])
    token = mx.array([0])
    mx.eval(model.last_logits(mx.array([[0, 1, 2, 3]]), state), state.arrays())
    for _ in range(_STEPS + 2):
        begun = time.perf_counter()
        logits = model.last_logits(token[None], state)
        built = time.perf_counter()
        mx.async_eval(logits, state.arrays())  # type: ignore[no-untyped-call]
        submitted = time.perf_counter()
        mx.eval(logits)
        done = time.perf_counter()
        token = sampler.choose(logits[None])
        sampler.take(token)
        mx.eval(token)
        parts["building"].append(built - begun)
        parts["submitting"].append(submitted - built)
        parts["device"].append(done - submitted)
        parts["sampling"].append(time.perf_counter() - done)
    # The first steps compile kernels.
    found = {name: 1000 * median(seconds[2:]) for name, seconds in parts.items()}
    if tokenizer is not None:
        found["detokenizing"] = _milliseconds(Detokenizer(tokenizer).add, tokenizer.encode(_CALL))
        constraint = ToolGrammar(tokenizer, model.vocabulary).constraint(_SCHEMAS)
        if constraint is not None:

            def constrain(token: int) -> None:
                constraint.advance(token)
                if constraint.active:
                    constraint.mask()

            found["grammar"] = _milliseconds(constrain, tokenizer.encode(_CALL))
    return found


def _milliseconds(work: Callable[[int], object], tokens: list[int]) -> float:
    """The median of a token."""
    taken = []
    for token in tokens:
        begun = time.perf_counter()
        work(token)
        taken.append(time.perf_counter() - begun)
    return 1000 * median(taken)
