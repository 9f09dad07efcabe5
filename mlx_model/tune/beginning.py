"""What a run of tuning began with, on disk, so that it goes on with the same: the user's files may have changed
since, and so may the memory that is free."""

from dataclasses import dataclass

import numpy as np

from mlx_model.errors import CheckpointError
from mlx_model.train.checkpointing import TrainingDirectory
from mlx_model.tune.data.reading import Material
from mlx_model.tune.data.texts import flattened, unflattened
from mlx_model.tune.gradients import Means

_FILE = "examples.npz"


@dataclass(frozen=True, slots=True)
class Beginning:
    """The examples of a run, and by what means it computes."""

    material: Material
    means: Means


def read_beginning(staging: TrainingDirectory) -> Beginning | None:
    """What the run began with; None where it has not begun. Raises CheckpointError."""
    file = staging.directory / _FILE
    if not file.exists():
        return None
    try:
        with np.load(file) as stored:
            arrays = dict(stored)
        examples = unflattened(arrays)
        count = int(arrays["training"])
        material = Material(
            tuple(examples[:count]),
            tuple(examples[count:]),
            tuple(map(str, arrays["made_of"])),
            tuple(map(int, arrays["shares"])),
        )
        segment, chunk, widened = map(int, arrays["means"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise CheckpointError(f"{file} is damaged ({error}): remove {file.parent} to begin again.") from None
    return Beginning(material, Means(segment, chunk, bool(widened)))


def keep_beginning(staging: TrainingDirectory, beginning: Beginning) -> None:
    """Saves it. Raises CheckpointError."""
    material, means = beginning.material, beginning.means
    arrays = flattened([*material.training, *material.held_out])
    with staging.written(_FILE) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            training=len(material.training),
            made_of=np.array(material.made_of),
            shares=np.array(material.shares),
            means=np.array([means.segment, means.chunk, means.widened]),
            **arrays,
        )
