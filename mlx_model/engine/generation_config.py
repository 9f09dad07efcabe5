"""The default sampling parameters of a checkpoint: its generation_config.json."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from mlx_model.chat.tokenizer import read_settings
from mlx_model.decode.request import SamplingParameters
from mlx_model.errors import CheckpointError

_NAME = "generation_config.json"


def published_sampling(directory: Path) -> SamplingParameters:
    """The defaults of the checkpoint in `directory`; Qwen3-Coder-Next's for fields that its file lacks.

    `do_sample` false is greedy decoding, as in transformers. Raises CheckpointError for an impossible value.
    """
    settings = read_settings(directory / _NAME)
    given: dict[str, Any] = {}
    for name, highest in (
        ("temperature", 100.0),
        ("top_p", 1.0),
        ("min_p", 1.0),
        ("repetition_penalty", 100.0),
    ):
        value = settings.get(name)
        if value is not None:
            given[name] = _number(directory, name, value, highest)
    if settings.get("top_k") is not None:
        given["top_k"] = int(_number(directory, "top_k", settings["top_k"], 2.0**31))
    if settings.get("do_sample") is False:
        given["temperature"] = 0.0
    for name in ("top_p", "repetition_penalty"):
        if given.get(name) == 0:
            raise CheckpointError(f"{directory / _NAME} sets {name} to 0; leave it out or correct it.")
    return replace(SamplingParameters(), **given)


def _number(directory: Path, name: str, value: Any, highest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise CheckpointError(f"{directory / _NAME} sets {name} to {value!r}; leave it out or correct it.")
    return float(value)
