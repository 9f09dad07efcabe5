"""The training loop: goes on from the run's state, writes it every few minutes, ends at a number of tokens."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from mlx_model.errors import ConfigError
from mlx_model.practice.data.batches import Batches, Position, Wanted
from mlx_model.practice.data.transcripts import Renderer
from mlx_model.practice.training.losses import Curves, batch_loss
from mlx_model.practice.training.optimizer import Optimizer, Rates
from mlx_model.practice.training.processes import Processes
from mlx_model.practice.training.run_folder import RunFolder, read_position, shape_of, written_position
from mlx_model.practice.trunk import elementwise
from mlx_model.practice.trunk.network import Network

_LOG_EVERY = 20
"""Steps between two lines of the log."""
_MTP_EVERY = 4
"""Steps between two in which the MTP layer learns; each takes a sixth longer."""
_AVERAGE_EVERY = 5
_AVERAGE_KEPT = 0.9
"""The averaged weights, moved every 5 steps, look back over about 50."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One training.

    `tokens` is where it ends, counted from the run's beginning and with padding; the rate falls linearly to
    nothing over the last `decay` of them. It rises over the first `warmup`.
    """

    run: Path
    data: Path
    tokens: int
    rates: Rates
    wanted: Wanted
    decay: float = 0.4
    warmup: int = 100_000
    checkpoint_seconds: float = 120.0
    processes: int = 1
    device: str = "cpu"
    compiled: bool = True


Report = Callable[[dict[str, Any]], None]


def train(plan: Plan, report: Report) -> None:
    """Trains until the plan's tokens are used or a signal (interrupt, terminate) comes; both leave a state to
    go on from. `report` gets what each line of the log says. Raises ConfigError."""
    if not RunFolder(plan.run).started:
        raise ConfigError(f"{plan.run} holds no training; `practice init` begins one.")
    if plan.processes == 1:
        _train(plan, Processes(), report)
        return
    meeting = plan.run / "processes"
    meeting.unlink(missing_ok=True)
    context = get_context("spawn")
    others = [context.Process(target=_other, args=(plan, rank, meeting)) for rank in range(1, plan.processes)]
    for other in others:
        other.start()
    try:
        _train(plan, Processes(0, plan.processes, meeting), report)
    finally:
        for other in others:
            other.join(timeout=60)
            other.kill()


def _other(plan: Plan, rank: int, meeting: Path) -> None:
    _train(plan, Processes(rank, plan.processes, meeting), lambda _entry: None)


def _train(plan: Plan, processes: Processes, report: Report) -> None:
    if plan.device == "cpu":
        torch.set_num_threads(1)
    if plan.compiled:
        elementwise.compile_all()
    stop = _Stop()
    training = _Training(plan, processes)
    try:
        training.run(stop, report)
    finally:
        stop.restore()
        processes.close()


class _Training:
    def __init__(self, plan: Plan, processes: Processes) -> None:
        self.plan, self.processes = plan, processes
        self.folder = RunFolder(plan.run)
        state = self.folder.load()
        self.network = Network(shape_of(state), torch.bfloat16)
        self.network.load_state_dict(state["weights"])
        self.network.to(plan.device)
        self.average = {name: weight.to(plan.device) for name, weight in state["average"].items()}
        self.optimizer = Optimizer(self.network, plan.rates, processes)
        if "optimizer" in state:
            self.optimizer.restore(state["optimizer"])
        self.tokens, self.step = state["tokens"], state["step"]
        self.resumed_at = self.tokens
        self.began_at = state["began_at"]
        self.position: Position | None = read_position(state["position"]) if "position" in state else None
        self.curves = Curves(state.get("curves", {}))

    def run(self, stop: "_Stop", report: Report) -> None:
        batches = Batches(
            self.plan.data,
            Renderer(self.plan.run),
            self.plan.wanted,
            self.processes.rank,
            self.processes.count,
        )
        begun = saved = time.monotonic()
        for position, *batch in batches.after(self.position):
            tokens, parts = (part.to(self.plan.device) for part in batch)
            mtp = self.step % _MTP_EVERY == 0
            batch_loss(self.network, tokens, parts, self.curves, mtp=mtp).backward()
            scale = self._scale()
            self.optimizer.step(scale)
            self.step += 1
            counts = torch.tensor([float(tokens.numel()), float(stop.asked)])
            self.processes.add([counts])
            self.tokens += int(counts[0])
            self.position = position
            if self.step % _AVERAGE_EVERY == 0 and self.processes.first:
                self._move_average()
            ended = bool(counts[1]) or self.tokens >= self.plan.tokens
            now = time.monotonic()
            if self.processes.first and self.step % _LOG_EVERY == 0:
                entry = self._entry(now - begun, scale)
                self.folder.log(entry)
                report(entry)
            if self.processes.first and (ended or now - saved > self.plan.checkpoint_seconds):
                self.folder.save(self._state())
                saved = now
            if ended:
                return

    def _scale(self) -> float:
        """Of the peak rates, at the next step."""
        rising = (self.tokens - self.began_at) / self.plan.warmup if self.plan.warmup else 1.0
        left = (
            (self.plan.tokens - self.tokens) / (self.plan.tokens * self.plan.decay) if self.plan.decay else 1.0
        )
        return max(0.01, min(1.0, rising, left))

    @torch.no_grad()
    def _move_average(self) -> None:
        for name, weight in self.network.state_dict().items():
            self.average[name].lerp_(weight, 1 - _AVERAGE_KEPT)

    def _entry(self, seconds: float, scale: float) -> dict[str, Any]:
        """A line of the log."""
        speed = (self.tokens - self.resumed_at) / seconds
        return {
            "step": self.step,
            "tokens": self.tokens,
            "tokens_per_second": round(speed),
            "rate": round(scale, 4),
            **{name: round(value, 4) for name, value in self.curves.values.items()},
        }

    def _state(self) -> dict[str, Any]:
        assert self.position is not None
        return {
            **self.folder.load(),
            "weights": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state(),
            "tokens": self.tokens,
            "step": self.step,
            "position": written_position(self.position),
            "curves": self.curves.values,
        }


class _Stop:
    """Whether someone asked to stop: the step under way is finished and its state written."""

    def __init__(self) -> None:
        self.asked = False
        self._before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore(self) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
