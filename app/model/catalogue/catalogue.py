"""Which model is meant: what --model names, or else what lies on this machine."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.model.catalogue.recipes import Experts, judge
from app.model.errors import NoModel
from app.paths import expanded, models_directory

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_HOST_AND_PORT = re.compile(r"([\w.-]+:\d+)(/|$)")
OWN_ARCHITECTURES = ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text")
"""What our own engine runs, and what is picked by itself from among the models on disk: the first before the
others."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A checkpoint directory, to be run by our own engine. `name` is what a person calls it."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model behind somebody's Chat Completions server. `url` has no slash at its end; `model` "" is whatever
    the server offers first."""

    url: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class NothingFound:
    """No model was named and none was found; `looked_for` says where and what, a clause each."""

    looked_for: tuple[str, ...]


ModelChoice = LocalModel | ServedModel | NothingFound


def choose_model(named: str) -> ModelChoice:
    """The model that `named` (--model, TIDEGATE_MODEL or the settings) means; "" looks for one on this machine.

    Named may be a directory, the name of one below models_directory(), a Hub id that was downloaded before, or
    the address of a server, with #model after it where the server has several. Raises NoModel when it is none
    of these.
    """
    if not named:
        return _found_on_disk()
    if re.match(r"https?://", named, re.IGNORECASE):
        return _server(named)
    directory = expanded(named)
    if directory.is_dir():
        return _checked(LocalModel(directory.resolve().name, directory.resolve()))
    own = models_directory() / named
    if own.is_dir() and own.parent == models_directory():
        return _checked(LocalModel(named, own))
    if _REPOSITORY.fullmatch(named):
        cached = cached_snapshot(named)
        if directory_for(named).is_dir():
            return _checked(LocalModel(named, directory_for(named)))
        if cached is not None:
            return _checked(LocalModel(named, cached))
        raise NoModel(
            f"there is no directory {named}, and the model of that name has not been downloaded",
            f"run: tidegate model fetch {named}",
        )
    if server := _HOST_AND_PORT.match(named):
        raise NoModel(f"there is no model {named}", f"if it is a server, write: http://{server[1]}/v1")
    if directory.exists():
        raise NoModel(f"{named} is a file", "name the directory that holds config.json and the weights")
    raise NoModel(
        f"there is no model {named}",
        f"name a directory, a model in {models_directory()}, a downloaded repository (owner/name) or a "
        "server's address (http://…/v1)",
    )


def models_on_disk() -> tuple[LocalModel, ...]:
    """Every complete model that can be found: our own directory first, then the Hub's cache, newest first."""
    own = [entry for entry in _directories(models_directory()) if entry.suffix != ".partial"]
    cached: list[LocalModel] = []
    for entry in _directories(hub_cache()):
        owner, separator, name = entry.name.removeprefix("models--").partition("--")
        if entry.name.startswith("models--") and separator:
            snapshot = cached_snapshot(f"{owner}/{name}")
            if snapshot is not None and is_ours(snapshot):
                cached.append(LocalModel(f"{owner}/{name}", snapshot))
    found = [LocalModel(entry.name.replace("--", "/", 1), entry) for entry in own] + cached
    return tuple(model for model in found if fault(model.path) is None)


def directory_for(repository: str) -> Path:
    """Where a repository (owner/name) lies once it was fetched."""
    return models_directory() / repository.replace("/", "--", 1)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a directory is no usable model, as a clause. `is_incomplete`: fetching it again would mend it."""

    what: str
    is_incomplete: bool = False


def fault(directory: Path) -> Fault | None:
    """Why a directory is no usable model; None when nothing is wrong at first sight."""
    if not (directory / "config.json").is_file():
        return Fault(f"{directory} is no model (it has no config.json)")
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        try:
            names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            return Fault(f"{index} cannot be read")
        missing = sorted(name for name in names if not (directory / name).is_file())
        if missing:
            what = f"{directory} is incomplete: {len(missing)} of {len(names)} weight files are missing"
            return Fault(what, is_incomplete=True)
    elif not any(directory.glob("*.safetensors")):
        return Fault(f"{directory} is no model (it has no safetensors files)")
    return None


def architecture(directory: Path) -> str:
    """config.json's model_type, "" where it cannot be read."""
    return str(_config(directory).get("model_type", ""))


def experts_of(directory: Path) -> Experts | None:
    """The routed experts of a model that our engine can read from disk one by one; None where there are none,
    or config.json does not say."""
    config = _text_fields(directory)
    packed = config.get("quantization") or {"bits": 16}
    try:
        count, active = int(config["num_experts"]), int(config["num_experts_per_tok"])
        weights = count * int(config["num_hidden_layers"]) * 3
        weights *= int(config["hidden_size"]) * int(config["moe_intermediate_size"])
        # A scale and a bias of two bytes for each group.
        bits = packed["bits"] + (32 / packed["group_size"] if "group_size" in packed else 0)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not is_ours(directory) or not 0 < active <= count or weights <= 0 or bits <= 0:
        return None
    return Experts(count, active, min(int(weights * bits / 8), weight_bytes(directory)))


def is_ours(directory: Path) -> bool:
    """Whether our own engine runs a model, as far as config.json tells: of an architecture of ours, and not
    packed in a way that MLX does not know."""
    packed = _config(directory).get("quantization_config")
    is_foreign = isinstance(packed, dict) and "quant_method" in packed
    return architecture(directory) in OWN_ARCHITECTURES and not is_foreign


def _text_fields(directory: Path) -> dict[str, Any]:
    """The fields of the text model, which vision-language models have in `text_config`."""
    config = _config(directory)
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, dict) else config


def _config(directory: Path) -> dict[str, Any]:
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def weight_bytes(directory: Path) -> int:
    """The size of a model's weights on disk, in bytes."""
    return sum(file.stat().st_size for file in directory.glob("*.safetensors") if file.is_file())


def hub_cache() -> Path:
    """Where huggingface-hub keeps downloads, by its documented environment variables. Found without importing
    it, which start-up has no time for."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    home = Path(os.environ.get("HF_HOME") or cache / "huggingface")
    return expanded(os.environ.get("HF_HUB_CACHE") or str(home / "hub"))


def cached_snapshot(repository: str) -> Path | None:
    """The directory of a repository's main revision in the Hub's cache, if it is there."""
    folder = hub_cache() / f"models--{repository.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    snapshot = folder / "snapshots" / commit
    return snapshot if commit and snapshot.is_dir() else None


def _checked(model: LocalModel) -> LocalModel:
    wrong = fault(model.path)
    if wrong is not None:
        fetch = f"fetch it again with: tidegate model fetch {model.name}"
        remedy = (
            fetch
            if wrong.is_incomplete and "/" in model.name
            else "name a directory with config.json and *.safetensors"
        )
        raise NoModel(wrong.what, remedy)
    return model


def _server(named: str) -> ServedModel:
    try:
        parts = urlsplit(named)
        host = parts.hostname
        _ = parts.port  # raises ValueError for one that is no number
    except ValueError:
        host = None
    if not host:
        raise NoModel(f"{named} is not the address of a server", "write it as http://host:port/v1")
    path = parts.path.rstrip("/") or "/v1"
    return ServedModel(f"{parts.scheme.lower()}://{parts.netloc}{path}", parts.fragment)


def _found_on_disk() -> LocalModel | NothingFound:
    models = [model for model in models_on_disk() if is_ours(model.path)]
    models.sort(key=lambda model: architecture(model.path) != OWN_ARCHITECTURES[0])
    verdicts = [judge(weight_bytes(model.path), experts=experts_of(model.path)) for model in models]
    fitting = [model for model, verdict in zip(models, verdicts, strict=True) if verdict.fits]
    running = [model for model, verdict in zip(models, verdicts, strict=True) if verdict.runs]
    if models:
        return (fitting or running or models)[0]
    return NothingFound(
        (
            "no --model, no TIDEGATE_MODEL and no model in the settings",
            f"no model in {models_directory()}",
            f"no {OWN_ARCHITECTURES[0]} or qwen3_5 model among the downloads in {hub_cache()}",
        )
    )


def _directories(parent: Path) -> list[Path]:
    """The directories in `parent`, newest first; none where it is missing or closed to us."""
    try:
        found = [(entry.stat().st_mtime, entry) for entry in parent.iterdir() if entry.is_dir()]
    except OSError:
        return []
    return [entry for _, entry in sorted(found, key=lambda item: item[0], reverse=True)]
