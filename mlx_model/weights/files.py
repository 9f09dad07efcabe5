"""The tensors in the files of a checkpoint directory, from its index and the files' headers."""

from collections.abc import Callable
from pathlib import Path

from mlx_model.config.family import is_mtp_name, text_name
from mlx_model.config.model_config import read_json_object
from mlx_model.errors import CheckpointError, ConfigError
from mlx_model.weights.experts.rows import part_entries
from mlx_model.weights.safetensors import TensorEntry, read_header

INDEX = "model.safetensors.index.json"


def list_tensors(directory: Path, wanted: Callable[[str], bool] = lambda _: True) -> dict[str, TensorEntry]:
    """The wanted tensors of a checkpoint directory, from the headers, by the names that they have without a
    vision encoder (see `config.family`); the encoder's own are left out.

    With an index, only the files that it names for wanted tensors need to exist, and MTP tensors in other files
    are ignored: a newly trained MTP layer lies beside the one it replaces. Raises CheckpointError.
    """

    def is_wanted(stored: str) -> bool:
        name = text_name(stored)
        return name is not None and wanted(name)

    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a directory.")
    if (directory / INDEX).exists():
        weight_map = {name: file for name, file in _read_index(directory).items() if is_wanted(name)}
        files = sorted(set(weight_map.values()))
    else:
        weight_map = {}
        files = sorted(path.name for path in directory.glob("model*.safetensors"))
        if not files:
            raise CheckpointError(_nothing_found(directory))
    headers = {file: read_header(directory / file) for file in files}
    for stored, file in weight_map.items():
        if stored not in headers[file].entries:
            raise CheckpointError(f"{directory / INDEX} places tensor {stored} in {file}, where it is not.")
    mtp_files = {file for name, file in weight_map.items() if is_mtp_name(name)}
    entries: dict[str, TensorEntry] = {}
    for file, header in headers.items():
        replaced = mtp_files and file not in mtp_files
        left_out = {name for name in header.entries if replaced and is_mtp_name(name)}
        for stored, entry in part_entries(directory / file, header, left_out).items():
            name = text_name(stored)
            if name is None or not wanted(name):
                continue
            if name in entries:
                raise CheckpointError(f"Tensor {name} is in both {entries[name].file.name} and {file}.")
            entries[name] = entry
    return entries


def _read_index(directory: Path) -> dict[str, str]:
    path = directory / INDEX
    try:
        weight_map = read_json_object(path).get("weight_map")
    except ConfigError as error:
        raise CheckpointError(str(error)) from None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path} has no weight_map.")
    for name, file in weight_map.items():
        # A plain file name only: an index must not lead out of the directory.
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise CheckpointError(
                f"{path}: tensor {name[:120]} is placed in {str(file)[:80]!r}, "
                "which is no file of the checkpoint."
            )
    return weight_map


def _nothing_found(directory: Path) -> str:
    for pattern, kind in (("*.bin", "PyTorch .bin"), ("*.gguf", "GGUF"), ("*.pth", "PyTorch .pth")):
        if any(directory.glob(pattern)):
            return f"{directory} holds {kind} weights; this engine reads safetensors."
    return f"{directory} has no model.safetensors: it is not a model directory, or its download is incomplete."
