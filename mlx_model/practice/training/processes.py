"""One or several processes that train together: each takes its share of a step's batches, and gradients are
averaged over them (gloo, which runs on any CPU)."""

from datetime import timedelta
from pathlib import Path

import torch
from torch import Tensor, distributed

_TIMEOUT = timedelta(minutes=30)
"""How long one process waits for another: long enough for the slowest compilation."""


class Processes:
    """This process among those that train."""

    def __init__(self, rank: int = 0, count: int = 1, meeting: Path | None = None) -> None:
        """`meeting` is a file that all of them can reach and that did not exist before; needed from two on."""
        self.rank, self.count = rank, count
        if count > 1:
            distributed.init_process_group(
                "gloo", init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=_TIMEOUT
            )

    @property
    def first(self) -> bool:
        """Whether this one writes the files."""
        return self.rank == 0

    def average(self, tensors: list[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes."""
        if self.count > 1:
            self._reduce(tensors, self.count)

    def add(self, tensors: list[Tensor]) -> None:
        """Replaces each tensor by its sum over the processes."""
        if self.count > 1:
            self._reduce(tensors, 1)

    def close(self) -> None:
        """Leaves the group."""
        if self.count > 1:
            distributed.destroy_process_group()

    def _reduce(self, tensors: list[Tensor], divisor: int) -> None:
        # One message: a message a tensor took several times as long.
        joined = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(joined)
        joined /= divisor
        for tensor, part in zip(tensors, joined.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))
