"""A program: a small quantized model on whatever BLAS the engine takes, its weights widened and as they are.

Prints a JSON object; null where the system has no fast BLAS.
"""

import json
import random
import sys
from argparse import Namespace
from pathlib import Path

from mlx_model.memory.blas import fast_blas

BLAS = fast_blas()

import mlx.core as mx  # noqa: E402 (the BLAS comes first)

from mlx_model.commands.shared.memory_check import settle_memory  # noqa: E402
from mlx_model.engine.kept import CacheSettings, open_cache  # noqa: E402
from mlx_model.engine.kernel_choice import DeltaStepChoice, use_delta_step  # noqa: E402
from mlx_model.engine.loading import load_qwen3_next  # noqa: E402
from mlx_model.memory.plan import Wishes  # noqa: E402
from mlx_model.weights.checkpoint import open_checkpoint  # noqa: E402
from tests.support.engine.drafting import Depths, Oracle, asked, drafting_generator, reply  # noqa: E402

LENGTH = 120


def main(directory: Path, cache: Path) -> None:
    checkpoint = open_checkpoint(directory)
    vocabulary = checkpoint.config.vocab_size
    asked_for = Namespace(model=directory, dtype=None, kv_bits=None, expert_slots=None, force=False)
    plan = settle_memory(asked_for, Wishes(256, snapshots=0))
    packed = load_qwen3_next(checkpoint)
    before = mx.get_active_memory()
    widened = load_qwen3_next(checkpoint, widened=True)
    held = mx.get_active_memory() - before
    use_delta_step(widened, DeltaStepChoice(None, ""))
    chance = random.Random(0)
    start = [chance.randrange(vocabulary) for _ in range(70)]
    ours, theirs = (model.logits(mx.array([start]), model.state())[0] for model in (widened, packed))

    prompt, ties, drafted = list(start), [], 0
    while (left := len(start) + LENGTH - len(prompt)) > 0:
        plain, _ = reply(drafting_generator(widened), asked(prompt, left))
        policy = Depths(seed=len(prompt))
        oracle = Oracle([*prompt, *plain], vocabulary, seed=0)
        tokens, _ = reply(drafting_generator(widened, oracle, policy=policy), asked(prompt, left))
        drafted += sum(step.drafted for step in policy.steps)
        same = next((at for at in range(left) if plain[at] != tokens[at]), left)
        if same < left:
            logits = widened.logits(mx.array([[*prompt, *plain[:same]]]), widened.state())[0, -1]
            gap = mx.abs(logits[plain[same]] - logits[tokens[same]]) / mx.abs(logits).max()
            ties.append(gap.item())
        prompt += plain[: same + 1]

    kept = open_cache(CacheSettings(folder=cache), directory, None, "float32")
    kept.close()
    found = {
        "blas": BLAS.name,
        "planned": plan.weight_bytes if plan.model.widened else None,
        "held": held,
        "difference": (mx.abs(ours - theirs).max() / mx.abs(theirs).max()).item(),
        "drafted": drafted,
        "ties": ties,
        "cache": kept.folder.name,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    if BLAS is None:
        print("null")
    else:
        main(*map(Path, sys.argv[1:]))
