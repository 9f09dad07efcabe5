"""A checkpoint made of links to a model's files and one new file with its MTP layer.

It takes no more disk than the layer and is a checkpoint like any other: `serve` runs it, and `convert
--graft-mtp` takes the layer from it. Hard links, which outlive the original, are made where both lie on one
disk, else symbolic links.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_model.config.family import is_mtp_name, text_name
from mlx_model.config.model_config import read_json_object
from mlx_model.errors import CheckpointError
from mlx_model.weights.checkpoint import Checkpoint
from mlx_model.weights.conversion.convert import copy_companions
from mlx_model.weights.files import INDEX
from mlx_model.weights.layout import Vector, mtp_items
from mlx_model.weights.recipes import Recipe, quantization_for
from mlx_model.weights.safetensors import read_header

_FILE = "model-mtp.safetensors"
_COMMAND = "train-mtp"


def write_linked(
    checkpoint: Checkpoint,
    tensors: Mapping[str, mx.array],
    theta: float,
    source: str | None,
    destination: Path,
) -> None:
    """Writes the checkpoint to `destination`, which is removed first. `tensors`: the layer's, unpacked; they
    are packed as the model is. `theta`: its rotary base. `source`: the other checkpoint that training began
    from, if any. Raises CheckpointError."""
    try:
        shutil.rmtree(destination, ignore_errors=True)
        destination.mkdir()
        raw = read_json_object(checkpoint.directory / "config.json")
        layer, packings = _packed(checkpoint, tensors, _recipe(checkpoint, raw))
        mx.save_safetensors(str(destination / _FILE), layer, {"format": "mlx"})
        weight_map = _trunk(checkpoint.directory)
        for file in sorted(set(weight_map.values())):
            _link(checkpoint.directory / file, destination / file)
        weight_map |= dict.fromkeys(layer, _FILE)
        size = sum((destination / file).stat().st_size for file in set(weight_map.values()))
        index = {"metadata": {"total_size": size}, "weight_map": weight_map}
        (destination / INDEX).write_text(json.dumps(index, indent=1))
        config = _config(raw, packings, theta, source)
        (destination / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        copy_companions(checkpoint.directory, destination)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{destination} cannot be written: {error}.") from None


def write_layer(
    checkpoint: Checkpoint,
    tensors: Mapping[str, mx.array],
    theta: float,
    source: str | None,
    destination: Path,
) -> None:
    """As write_linked, without the model's own files: the layer alone, to be kept with an adapter."""
    try:
        shutil.rmtree(destination, ignore_errors=True)
        destination.mkdir()
        raw = read_json_object(checkpoint.directory / "config.json")
        layer, packings = _packed(checkpoint, tensors, _recipe(checkpoint, raw))
        mx.save_safetensors(str(destination / _FILE), layer, {"format": "mlx"})
        config = _config(raw, packings, theta, source)
        (destination / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{destination} cannot be written: {error}.") from None


def _trunk(directory: Path) -> dict[str, str]:
    """The file of every tensor of the text model on disk outside the MTP layer."""
    if (directory / INDEX).exists():
        weight_map = read_json_object(directory / INDEX)["weight_map"]
    else:
        weight_map = {
            name: file.name
            for file in sorted(directory.glob("model*.safetensors"))
            for name in read_header(file).entries
        }
    return {name: file for name, file in weight_map.items() if text_name(name) and not is_mtp_name(name)}


def _link(original: Path, link: Path) -> None:
    # Files downloaded from the Hub are themselves links into its cache.
    original = original.resolve()
    try:
        os.link(original, link)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        link.symlink_to(original)


def _recipe(checkpoint: Checkpoint, raw: Mapping[str, Any]) -> Recipe:
    """The recipe that the model was packed by; for other programs' conversions the nearest one."""
    named = raw.get("tidegate", {}).get("recipe")
    if named in list(Recipe):
        return Recipe(named)
    default = checkpoint.config.quantization
    if default is None:
        return Recipe.BF16
    return Recipe.Q4 if default.bits <= 4 else Recipe.Q8


def _packed(
    checkpoint: Checkpoint, tensors: Mapping[str, mx.array], recipe: Recipe
) -> tuple[dict[str, mx.array], dict[str, Any]]:
    """The tensors to write, and their entries in a quantization block."""
    layer: dict[str, mx.array] = {}
    packings: dict[str, Any] = {}
    for item in mtp_items(checkpoint.config):
        if isinstance(item, Vector):
            layer[item.name] = tensors[item.name]
            continue
        weight = tensors[f"{item.path}.weight"].astype(mx.bfloat16)
        packing = quantization_for(recipe, item)
        packings[item.path] = packing.model_dump() if packing else False
        if packing is None:
            layer[f"{item.path}.weight"] = weight
        else:
            packed = mx.quantize(weight, packing.group_size, packing.bits, packing.mode)
            layer |= {
                f"{item.path}.{kind}": array
                for kind, array in zip(("weight", "scales", "biases"), packed, strict=True)
            }
        if item.bias:
            layer[f"{item.path}.bias"] = tensors[f"{item.path}.bias"].astype(mx.bfloat16)
        mx.eval(layer)
    return layer, packings


def _shown_source(source: str | None) -> str:
    """The layer's origin, for display."""
    if source is None:
        return _COMMAND
    return source if source.endswith(_COMMAND) else f"{source} and {_COMMAND}"


def _config(
    raw: Mapping[str, Any], packings: Mapping[str, Any], theta: float, source: str | None
) -> dict[str, Any]:
    config = dict(raw)
    for key in ("quantization", "quantization_config"):
        block = config.get(key)
        if isinstance(block, dict):
            kept = {name: value for name, value in block.items() if not is_mtp_name(name)}
            config[key] = {**kept, **packings}
    own = dict(config.get("tidegate", {}))
    own["mtp"] = {"trained": True, "rope_theta": theta, "source": _shown_source(source)}
    config["tidegate"] = own
    return config
