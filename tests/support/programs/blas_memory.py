"""A program: a checkpoint reads a prompt with a fast BLAS; what was forecast, what it took.

Prints a JSON object of bytes, the plan's peak with one recurrent state and MLX's; null where the system has no
fast BLAS.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path

from mlx_model.memory.blas import fast_blas

TAKEN = fast_blas()

import mlx.core as mx  # noqa: E402

from mlx_model.commands.shared.memory_check import settle_memory  # noqa: E402
from mlx_model.engine.loading import load  # noqa: E402
from mlx_model.memory.plan import Wishes  # noqa: E402
from mlx_model.model import Qwen3Next  # noqa: E402
from mlx_model.state.recurrent import DeltaState  # noqa: E402


def main(directory: Path, tokens: int, chunk: int) -> None:
    given = Namespace(model=directory, dtype=None, kv_bits=None, force=False)
    plan = settle_memory(given, Wishes(tokens, chunk=chunk, snapshots=0))
    assert plan is not None
    model = load(directory).model
    assert isinstance(model, Qwen3Next)
    mx.clear_cache()
    mx.reset_peak_memory()
    state = model.state()
    for start in range(0, tokens, chunk):
        ids = mx.arange(start, start + chunk)[None] % model.vocabulary
        mx.eval(model.last_logits(ids, state), state.arrays())
    # A conversation has several recurrent states in time; this one has its first.
    others = plan.state - sum(part.nbytes for layer in state.layers for part in _recurrent(layer))
    print(json.dumps({"forecast": plan.peak - others, "mlx": mx.get_peak_memory()}))


def _recurrent(layer: object) -> list[mx.array]:
    return layer.arrays() if isinstance(layer, DeltaState) else []


if __name__ == "__main__":
    if TAKEN is None:
        print("null")
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
