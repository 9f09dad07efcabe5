"""One text tuned here and by mlx-lm, on the same checkpoint: memory and speed, as JSON.

python -m tests.support.programs.beside_mlx_lm LENGTH
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from mlx_model.memory.blas import fast_blas

fast_blas()

import mlx.core as mx  # noqa: E402 (after the BLAS that it is to use)
import numpy as np  # noqa: E402
from mlx import optimizers  # noqa: E402
from mlx_lm.tuner.trainer import TrainingArgs, train  # noqa: E402
from mlx_lm.tuner.utils import linear_to_lora_layers  # noqa: E402
from mlx_lm.utils import load_model  # noqa: E402

from mlx_model.engine.loading import load_qwen3_next  # noqa: E402
from mlx_model.memory.device import prepare_mlx  # noqa: E402
from mlx_model.tune.adapters.matrices import AdaptedModel  # noqa: E402
from mlx_model.tune.adapters.targets import Shape, sites  # noqa: E402
from mlx_model.tune.data.texts import Text  # noqa: E402
from mlx_model.tune.gradients import Means, Tuner  # noqa: E402
from mlx_model.tune.losses import Likelihood  # noqa: E402
from mlx_model.weights.checkpoint import open_checkpoint  # noqa: E402
from tests.support.weights.checkpoints import write_checkpoint  # noqa: E402

_SIZES = {
    "hidden_size": 256,
    "linear_num_key_heads": 4,
    "linear_key_head_dim": 64,
    "linear_value_head_dim": 64,
    "moe_intermediate_size": 128,
    "max_position_embeddings": 16_384,
}
_SHAPE = Shape(rank=8)


def ours(checkpoint: Path, tokens: np.ndarray) -> tuple[int, float]:
    """Bytes at the peak, and seconds of a processor, for the gradient of one text."""
    model = load_qwen3_next(open_checkpoint(checkpoint), dtype="float32", for_gradients=True)
    adapted = AdaptedModel(model, sites(model.config, _SHAPE), _SHAPE)
    tensors = adapted.initial(0)
    tuner = Tuner(adapted, Likelihood(), Means(256))
    text = Text(tokens, np.ones(len(tokens), np.bool_))
    mx.reset_peak_memory()
    began = time.process_time()
    mx.eval(tuner.gradients(tensors, [(text,)])[0])
    return mx.get_peak_memory(), time.process_time() - began


def theirs(checkpoint: Path, tokens: np.ndarray) -> tuple[int, float]:
    """The same of a step of mlx-lm's trainer, with its gradient checkpointing, over the same modules."""
    model, _ = load_model(checkpoint)
    model.freeze()
    keys = {
        source.module.split(".", 3)[3]
        for site in sites(open_checkpoint(checkpoint).config, _SHAPE)
        for source in site.sources
    }
    linear_to_lora_layers(model, 4, {"rank": 8, "scale": 2.0, "dropout": 0.0, "keys": sorted(keys)})
    mx.reset_peak_memory()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArgs(
            batch_size=1,
            iters=1,
            max_seq_length=len(tokens),
            grad_checkpoint=True,
            adapter_file=str(Path(folder) / "adapters.safetensors"),
        )
        train(model, optimizers.Adam(1e-4), [(tokens.tolist(), 0)], None, arguments)
    return mx.get_peak_memory(), time.process_time() - began


def main(length: int) -> None:
    prepare_mlx()
    mx.set_cache_limit(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = write_checkpoint(Path(folder) / "model", **_SIZES)
        tokens = np.random.default_rng(0).integers(0, 256, length + 1).astype(np.uint32)
        found = {}
        for name, measure in (("ours", ours), ("mlx-lm", theirs)):
            peak, seconds = measure(checkpoint, tokens)
            found[name] = {"peak": peak, "tokens_per_second": length / seconds}
            mx.clear_cache()
    print(json.dumps(found), file=sys.__stdout__)


if __name__ == "__main__":
    main(int(sys.argv[1]))
