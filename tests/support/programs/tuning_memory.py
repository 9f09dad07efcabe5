"""What the gradient of one text takes in memory, and what was forecast, as JSON in bytes.

python -m tests.support.programs.tuning_memory LAYERS LENGTH
"""

import gc
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from mlx_model.memory.blas import fast_blas

fast_blas()

import mlx.core as mx  # noqa: E402 (after the BLAS that it is to use)
import numpy as np  # noqa: E402

from mlx_model.engine.loading import load_qwen3_next  # noqa: E402
from mlx_model.memory.device import arithmetic, prepare_mlx  # noqa: E402
from mlx_model.memory.footprint import stored_packing  # noqa: E402
from mlx_model.memory.machine import GIB, Machine  # noqa: E402
from mlx_model.memory.plan import Model  # noqa: E402
from mlx_model.tune.adapters.matrices import AdaptedModel  # noqa: E402
from mlx_model.tune.adapters.targets import Shape, sites  # noqa: E402
from mlx_model.tune.data.texts import Text  # noqa: E402
from mlx_model.tune.forecast import plan_tuning  # noqa: E402
from mlx_model.tune.gradients import Means, Tuner  # noqa: E402
from mlx_model.tune.losses import Likelihood  # noqa: E402
from mlx_model.weights.checkpoint import open_checkpoint  # noqa: E402
from tests.support.weights.checkpoints import write_checkpoint  # noqa: E402

SIZES: dict[str, Any] = {
    "hidden_size": 256,
    "num_key_value_heads": 1,
    "head_dim": 64,
    "linear_num_key_heads": 4,
    "linear_key_head_dim": 64,
    "linear_value_head_dim": 64,
    "num_experts": 32,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 128,
    "shared_expert_intermediate_size": 128,
    "max_position_embeddings": 16_384,
}
"""In the proportions of Qwen3-Coder-Next, where experts are most of the weights."""


def measured(directory: Path, length: int, **sizes: Any) -> dict[str, int]:
    """`peak`: MLX's, with the weights; `forecast`: the plan's, without Adam's moments, which are not there;
    `borders`: what is kept between layers."""
    checkpoint = open_checkpoint(write_checkpoint(directory, **sizes))
    shape, machine = Shape(rank=8), Machine(64 * GIB, 64 * GIB, "linux")
    model = Model(checkpoint.config, stored_packing(checkpoint), arithmetic("float32", checkpoint.config))
    plan = plan_tuning(model, machine, shape, length)
    gc.collect()
    mx.clear_cache()
    others = mx.get_active_memory()
    loaded = load_qwen3_next(checkpoint, dtype="float32", for_gradients=True)
    adapted = AdaptedModel(loaded, sites(loaded.config, shape), shape)
    tensors = adapted.initial(0)
    tuner = Tuner(adapted, Likelihood(), Means(plan.segment))
    tokens = np.random.default_rng(0).integers(0, 256, length + 1).astype(np.uint32)
    mx.reset_peak_memory()
    mx.eval(tuner.gradients(tensors, [(Text(tokens, np.ones(length + 1, np.bool_)),)])[0])
    peak = mx.get_peak_memory() - others
    return {"peak": peak, "forecast": plan.peak - plan.adapter * 2 // 5, "borders": plan.borders}


def main(layers: int, length: int) -> None:
    prepare_mlx()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(Path(folder) / "m", length, **SIZES, num_hidden_layers=layers)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
