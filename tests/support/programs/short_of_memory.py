"""A program: a model whose process may grow by so many bytes only, asked for more than that and then for less.

Prints a JSON object: the tokens of the small request before, what the large one ends with, those after. With
`forecast`, the engine reckons before it asks the system for memory; without, the allocation fails. The limit is
RLIMIT_AS, or that of a control group whose directory is given, which the process enters.
"""

import json
import os
import re
import resource
import sys
from pathlib import Path

from mlx_model.decode.request import GenerationRequest, SamplingParameters, TokenGenerated
from mlx_model.engine.guarded import GuardedGenerator, OutOfMemory
from mlx_model.engine.loading import load
from mlx_model.engine.reserves import engine_reserves
from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import this_machine
from mlx_model.memory.plan import Model, Wishes, plan_memory
from mlx_model.memory.relief import Relief
from mlx_model.model import Qwen3Next
from mlx_model.weights.recipes import Recipe

GREEDY = SamplingParameters(temperature=0)


def main(directory: str, growth: int, prompt: int, forecast: bool, group: Path | None) -> None:
    if group is not None:
        (group / "cgroup.procs").write_text(str(os.getpid()))
    loaded = load(Path(directory))
    assert isinstance(loaded.model, Qwen3Next)
    # One chunk of the whole prompt: the scores of its attention are what does not fit.
    chunk = 1 << 20
    model = Model(loaded.model.config, recipe_packing(Recipe.BF16), Arithmetic(4, stepwise=True))
    plan = plan_memory(model, this_machine(), Wishes(context=prompt + 5, chunk=chunk))
    generator = GuardedGenerator(
        loaded.generator(chunk=chunk),
        Relief(engine_reserves(None, None)),
        request_bytes=plan.request_bytes if forecast else None,
    )

    def reply(length: int) -> list[int]:
        request = GenerationRequest(tuple(n % 200 for n in range(length)), 5, frozenset(), GREEDY)
        return [e.token for e in generator.generate(request, lambda: False) if isinstance(e, TokenGenerated)]

    before = reply(50)
    if group is None:
        status = Path("/proc/self/status").read_text()
        size = int(re.search(r"VmSize:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]
        resource.setrlimit(resource.RLIMIT_AS, (size + growth, resource.RLIM_INFINITY))
    elif (group / "memory.max").exists():
        (group / "memory.max").write_text(str(int((group / "memory.current").read_text()) + growth))
    else:
        used = int((group / "memory.usage_in_bytes").read_text())
        (group / "memory.limit_in_bytes").write_text(str(used + growth))
    try:
        failure = f"none: {reply(prompt)}"
    except OutOfMemory as error:
        failure = str(error)
    print(json.dumps({"before": before, "failure": failure, "after": reply(50)}))


if __name__ == "__main__":
    given = Path(sys.argv[5]) if len(sys.argv) > 5 else None
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "forecast", given)
