"""Muon for the matrices inside the network (Jordan, 2024, https://kellerjordan.github.io/posts/muon/), AdamW
for everything else."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mlx_model.practice.training.processes import Processes

_NOT_MUON = ("embed_tokens", "lm_head", "conv1d", "in_proj_ba", "mlp.gate.", "shared_expert_gate")
"""Tables, gates and the convolution: their rows are no directions to be made orthogonal."""

_ITERATIONS = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Coefficients of the Newton-Schulz steps, one step each (Cesista, You and Jordan, 2025)."""

_MOMENTUM = 0.95
_MUON_DECAY = 0.02
"""Weight decay, times the rate."""
_CLIP = 1.0
"""The norm that the gradient of AdamW's parameters is clipped to."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The peak learning rates."""

    muon: float
    adam: float


class Optimizer:
    """Both optimizers, and the gradients' mean over processes. Muon's iterations are shared out among the
    processes by matrix, since each needs whole matrices and all need all results."""

    def __init__(self, network: nn.Module, rates: Rates, processes: Processes) -> None:
        self.rates, self.processes = rates, processes
        self.matrices: list[nn.Parameter] = []
        self.others: list[nn.Parameter] = []
        for name, parameter in network.named_parameters():
            is_matrix = parameter.ndim >= 2 and not any(part in name for part in _NOT_MUON)
            (self.matrices if is_matrix else self.others).append(parameter)
        self.momentum = [torch.zeros_like(matrix) for matrix in self.matrices]
        self.adam = torch.optim.AdamW(
            self.others, lr=rates.adam, betas=(0.9, 0.97), eps=1e-10, weight_decay=0.0
        )
        self.owners = _shared_out(self.matrices, processes.count)

    def step(self, scale: float) -> None:
        """One step at `scale` times the peak rates, in which parameters without a gradient stay; gradients are
        cleared."""
        trained = [parameter for parameter in (*self.matrices, *self.others) if parameter.grad is not None]
        self.processes.average([parameter.grad for parameter in trained])
        nn.utils.clip_grad_norm_(self.others, _CLIP)
        for group in self.adam.param_groups:
            group["lr"] = self.rates.adam * scale
        self.adam.step()
        self._muon(self.rates.muon * scale)
        for parameter in trained:
            parameter.grad = None

    @torch.no_grad()
    def _muon(self, rate: float) -> None:
        moved, updates = [], []
        for matrix, momentum, owner in zip(self.matrices, self.momentum, self.owners, strict=True):
            gradient = matrix.grad
            if gradient is None:
                continue
            momentum.lerp_(gradient, 1 - _MOMENTUM)
            ours = owner == self.processes.rank
            look_ahead = gradient.lerp(momentum, _MOMENTUM)
            updates.append(_orthogonal(look_ahead) if ours else torch.zeros_like(matrix))
            moved.append(matrix)
        self.processes.add(updates)
        for matrix, update in zip(moved, updates, strict=True):
            stretch = max(1.0, matrix.shape[-2] / matrix.shape[-1]) ** 0.5
            matrix.mul_(1 - rate * _MUON_DECAY).add_(update, alpha=-rate * stretch)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"momentum": self.momentum, "adam": self.adam.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint's state."""
        for momentum, kept in zip(self.momentum, state["momentum"], strict=True):
            momentum.copy_(kept)
        self.adam.load_state_dict(state["adam"])


def _orthogonal(matrix: Tensor) -> Tensor:
    """[..., rows, columns] with all singular values moved to about one, in bfloat16."""
    x = matrix.to(torch.bfloat16)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for first, third, fifth in _ITERATIONS:
        square = x @ x.mT
        x = first * x + (third * square + fifth * (square @ square)) @ x
    return (x.mT if tall else x).float()


def _shared_out(matrices: list[nn.Parameter], processes: int) -> list[int]:
    """A process for each matrix, so that all have about the same work."""
    loads = [0] * processes
    owners = [0] * len(matrices)
    for index in sorted(range(len(matrices)), key=lambda index: -_work(matrices[index])):
        owners[index] = loads.index(min(loads))
        loads[owners[index]] += _work(matrices[index])
    return owners


def _work(matrix: nn.Parameter) -> int:
    work: int = matrix.numel() * min(matrix.shape[-2:])
    return work
