"""A training's folder: tokenizer.json, chat_template.jinja, log.jsonl, and training.pt for going on."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from mlx_model.errors import ConfigError
from mlx_model.practice.data.batches import Place, Position
from mlx_model.practice.trunk.network import Network
from mlx_model.practice.trunk.shape import Shape

_STATE, _LOG = "training.pt", "log.jsonl"


class RunFolder:
    """The files of one training."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def started(self) -> bool:
        """Whether there is anything to go on from."""
        return (self.path / _STATE).exists()

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the state in one step, so that a training killed at any time goes on from a whole one."""
        self.path.mkdir(parents=True, exist_ok=True)
        unfinished = self.path / f"{_STATE}.part"
        with unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path / _STATE)

    def load(self) -> dict[str, Any]:
        """The state last saved. Raises ConfigError."""
        try:
            state: dict[str, Any] = torch.load(self.path / _STATE, weights_only=True)
        except FileNotFoundError:
            raise ConfigError(f"{self.path} holds no training; `practice init` begins one.") from None
        return state

    def log(self, entry: dict[str, Any]) -> None:
        """Adds a line to the curves."""
        with (self.path / _LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def fresh_state(network: Network, tokens: int = 0) -> dict[str, Any]:
    """The state of a training that has not begun; `tokens` is what the weights have seen before."""
    weights = network.state_dict()
    average = {name: weight.clone() for name, weight in weights.items()}
    return {
        "shape": asdict(network.shape),
        "weights": weights,
        "average": average,
        "tokens": tokens,
        "began_at": tokens,
        "step": 0,
    }


def shape_of(state: dict[str, Any]) -> Shape:
    """The shape that a state was saved with."""
    return Shape(**state["shape"])


def written_position(position: Position) -> dict[str, Any]:
    """A position as plain values."""
    return asdict(position)


def read_position(written: dict[str, Any]) -> Position:
    """The inverse of `written_position`."""
    places = {name: Place(**place) for name, place in written["places"].items()}
    return Position(written["window"], places, written["step"])
