"""The tensors of a checkpoint by canonical name, taken by the layers that own them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import mlx.core as mx

from mlx_model.config.model_config import Quantization
from mlx_model.errors import CheckpointError
from mlx_model.layers.expert_bank import ExpertBank
from mlx_model.layers.low_rank import Adaptable


@dataclass(frozen=True, slots=True)
class Parameters:
    """Canonical tensors (name → array) and, for each packed matrix, its packing (module path → Quantization).

    `prefix`: the module path that this view is of, with a closing dot. All views of one tree share `taken`,
    from which `finish` finds the tensors that no layer took, and `adaptable`, where projections enter
    themselves by module path. `banks`: by module path, experts that are not all in memory. `by_blas`: plain
    matrices are multiplied in the ways that a fast BLAS on a CPU is fastest at (see projections.Matrix).
    """

    tensors: Mapping[str, mx.array]
    quantization: Mapping[str, Quantization] = field(default_factory=dict)
    prefix: str = ""
    taken: set[str] = field(default_factory=set)
    banks: Mapping[str, ExpertBank] = field(default_factory=dict)
    adaptable: dict[str, Adaptable] = field(default_factory=dict)
    by_blas: bool = False

    def scope(self, name: str) -> "Parameters":
        """A view of the module `name` below this one."""
        return replace(self, prefix=f"{self.prefix}{name}.")

    @property
    def path(self) -> str:
        """The module path of this view."""
        return self.prefix.removesuffix(".")

    def has(self, name: str) -> bool:
        """Whether this module has a tensor `name`."""
        return self.prefix + name in self.tensors

    def take(self, name: str, shape: tuple[int, ...] | None = None) -> mx.array:
        """The tensor `name` of this module. Raises CheckpointError naming it when it is missing or does not
        have `shape`."""
        full = self.prefix + name
        tensor = self.tensors.get(full)
        if tensor is None:
            raise CheckpointError(f"The checkpoint lacks the tensor {full}.")
        if shape is not None and tensor.shape != shape:
            raise CheckpointError(
                f"The tensor {full} has the shape {tuple(tensor.shape)}; the configuration asks for {shape}."
            )
        self.taken.add(full)
        return tensor

    def finish(self) -> None:
        """Raises CheckpointError when there are tensors that no layer took."""
        left = sorted(name for name in self.tensors if name not in self.taken)
        if left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            raise CheckpointError(f"The checkpoint has tensors that the model does not know: {left[0]}{more}.")
