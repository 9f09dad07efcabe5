"""A program: layers of full size with random 4-bit weights compute a prompt; what was forecast, what it took.

Prints a JSON object of bytes: the plan's peak, MLX's, and what the process's resident set grew by.
"""

import json
import resource
import sys
from typing import Any

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.config.published import published_config
from mlx_model.layers.parameters import Parameters
from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.device import prepare_mlx
from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import GIB, Machine, resident_bytes
from mlx_model.memory.plan import Model, Wishes, plan_memory
from mlx_model.model import Qwen3Next
from mlx_model.weights.layout import Vector, model_items
from mlx_model.weights.packing import packed_shapes
from mlx_model.weights.recipes import Recipe, quantization_for


def parameters(config: ModelConfig) -> Parameters:
    """Random ones as `convert --recipe q4` would pack them, in float32 where they are not packed."""
    tensors: dict[str, mx.array] = {}
    packings = {}
    for item in model_items(config, mtp=False):
        if isinstance(item, Vector):
            tensors[item.name] = mx.random.uniform(0.5, 1.0, item.shape)
            mx.eval(tensors[item.name])
            continue
        packing = quantization_for(Recipe.Q4, item)
        assert packing is not None
        packings[item.path] = packing
        for kind, shape in packed_shapes(item.shape, packing).items():
            name = f"{item.path}.{kind}"
            # One expert's worth of chance for all of them: chance for gigabytes takes minutes.
            block = shape if len(shape) == 2 else (1, *shape[1:])
            if kind == "weight":
                chance = mx.random.randint(0, 2**31 - 1, block).astype(mx.uint32)
            else:
                chance = 0.002 * mx.random.normal(block)
            tensors[name] = mx.contiguous(mx.repeat(chance, shape[0], axis=0) if block != shape else chance)
            mx.eval(tensors[name])
    return Parameters(tensors, packings)


def main(layers: int, experts: int, vocabulary: int, tokens: int) -> None:
    """`tokens` is the prompt, computed in two chunks."""
    changed: dict[str, Any] = {
        "num_hidden_layers": layers,
        "layer_types": published_config().layer_types[-layers:],
        "num_experts": experts,
        "vocab_size": vocabulary,
    }
    config = published_config().model_copy(update=changed)
    prepare_mlx()
    chunk = tokens // 2
    model = Model(config, recipe_packing(Recipe.Q4), Arithmetic(4, stepwise=True))
    machine = Machine(256 * GIB, 256 * GIB, "linux")
    plan = plan_memory(model, machine, Wishes(context=tokens, chunk=chunk, snapshots=0))
    # The most that was resident counts that of the process which started this one too; so begin from what is.
    before = resident_bytes()
    running = Qwen3Next(config, parameters(config), mx.float32)
    mx.clear_cache()
    mx.reset_peak_memory()
    state = running.state()
    for start in range(0, tokens, chunk):
        ids = mx.arange(start, start + chunk)[None] % vocabulary
        mx.eval(running.last_logits(ids, state), state.arrays())
        mx.clear_cache()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(json.dumps({"forecast": plan.peak, "mlx": mx.get_peak_memory(), "resident": grown}))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
