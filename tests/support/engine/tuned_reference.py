"""The independent implementation of an adapter's gradient: PEFT over transformers, in float32."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.support.engine.oracle import Reference, torch

peft = pytest.importorskip("peft", reason="the oracle is not installed (ORACLE=0)")

Arrays = Mapping[str, np.ndarray]


def reference_gradients(
    directory: Path, adapter: Arrays, *, scale: float, tokens: np.ndarray, counted: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The cross-entropy per token that counts, and its gradients by the `adapter`'s tensors, which are named
    and laid out as mlx-lm does it."""
    rank = next(
        array.shape[1] for name, array in adapter.items() if array.ndim == 2 and name.endswith("lora_a")
    )
    banks = any(".switch_mlp." in name for name in adapter)
    # Within a module of no known architecture: PEFT takes a known one's names for those of older versions.
    held = torch.nn.ModuleDict({"held": Reference(directory).model})
    peft.inject_adapter_in_model(
        peft.LoraConfig(
            r=rank,
            rank_pattern={r".*\.gate_up_proj": 2 * rank} if banks else {},
            target_modules=sorted(
                {f"held.{name.rpartition('.')[0]}" for name in adapter if ".switch_mlp." not in name}
            ),
            target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"] if banks else None,
            use_dora=any(name.endswith(".m") for name in adapter),
        ),
        held,
    )
    model = held["held"]
    modules = {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, "lora_A") and "default" in module.lora_A
    }
    for name, module in modules.items():
        module.scaling["default"] = scale
        for parameter, value in zip(_parameters(module), _in_peft(name, module, adapter), strict=True):
            assert parameter.shape == value.shape, name
            parameter.data = torch.tensor(np.ascontiguousarray(value))
    ids = torch.tensor(tokens[None].astype(np.int64))
    logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0]
    chosen = torch.log_softmax(logits, dim=-1).gather(1, ids[0, 1:, None])[:, 0]
    loss = -(chosen * torch.tensor(counted[1:].astype(np.float32))).sum() / counted[1:].sum()
    loss.backward()
    found: dict[str, np.ndarray] = {}
    for name, module in modules.items():
        gradients = [np.asarray(parameter.grad) for parameter in _parameters(module)]
        found |= _from_peft(name, module, gradients)
    return loss.item(), found


def _parameters(module):
    magnitudes = [vector.weight for vector in module.lora_magnitude_vector.values()]
    return [module.lora_A["default"].weight, module.lora_B["default"].weight, *magnitudes]


def _bank(name: str, module) -> tuple[str, tuple[str, ...]] | None:
    """For experts, which PEFT wraps twice: the path before them, and the parts that are one parameter."""
    if ".experts" not in name:
        return None
    mlp = re.sub(r"\.experts.*", ".switch_mlp", name)
    return mlp, ("gate_proj", "up_proj") if module.parameter_name == "gate_up_proj" else ("down_proj",)


def _in_peft(name: str, module, adapter: Arrays) -> list[np.ndarray]:
    bank = _bank(name, module)
    if bank is None:
        found = [adapter[f"{name}.lora_a"].T, adapter[f"{name}.lora_b"].T]
        return [*found, adapter[f"{name}.m"]] if f"{name}.m" in adapter else found
    mlp, parts = bank
    a = np.concatenate([adapter[f"{mlp}.{part}.lora_a"] for part in parts], axis=1)
    blocks = [adapter[f"{mlp}.{part}.lora_b"] for part in parts]
    experts, rank = a.shape[:2]
    b = np.zeros((experts, sum(block.shape[1] for block in blocks), rank), np.float32)
    row = column = 0
    for block in blocks:
        b[:, row : row + block.shape[1], column : column + block.shape[2]] = block
        row, column = row + block.shape[1], column + block.shape[2]
    return [a.reshape(-1, a.shape[-1]), b.transpose(1, 2, 0).reshape(b.shape[1], -1)]


def _from_peft(name: str, module, gradients: list[np.ndarray]) -> dict[str, np.ndarray]:
    bank = _bank(name, module)
    if bank is None:
        kinds = ("lora_a", "lora_b", "m")
        return {f"{name}.{kind}": array.T for kind, array in zip(kinds, gradients, strict=False)}
    mlp, parts = bank
    experts = module.num_experts
    a = gradients[0].reshape(experts, -1, gradients[0].shape[-1])
    b = gradients[1].reshape(gradients[1].shape[0], -1, experts).transpose(2, 0, 1)
    count = len(parts)
    found = {}
    for index, part in enumerate(parts):
        ranks, rows = a.shape[1] // count, b.shape[1] // count
        own, below = slice(index * ranks, (index + 1) * ranks), slice(index * rows, (index + 1) * rows)
        found[f"{mlp}.{part}.lora_a"], found[f"{mlp}.{part}.lora_b"] = a[:, own], b[:, below, own]
    return found
