"""A late turn of an agent over the wire: the time to its first token and the speed of its reply, plain and
drafted.

A server is started as users start it, and an agent's session of tool calls is sent to it turn by turn, each
with all that came before. What is timed is the last turn, at the client.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_model.bench.cache_scripts import SYSTEM, text, tools
from mlx_model.bench.processes.chat_server import ChatServer

TURNS = 20
"""Turns of a session, the last of which is timed."""
_RESULTS = (40, 600)
"""Words of a tool's result, from and to."""
_EARLIER = 24
"""Tokens of the replies before the last."""
_LAST = 64
"""Tokens of the last."""


@dataclass(frozen=True, slots=True)
class TurnSpeed:
    """`draft`: the mode; tokens of the prompt, and those of them that were cached; milliseconds from the
    request to the first piece of the reply; tokens a second after it; and milliseconds of a token that the
    server does not account for: text, events and the socket."""

    draft: str
    prompt: int
    cached: int
    first_ms: float
    tokens_per_second: float
    wire_ms: float


def measure_turn(model: Path, turns: int = TURNS) -> list[TurnSpeed]:
    """The last of so many turns, plain and drafted. Raises BenchServerFailed."""
    with tempfile.TemporaryDirectory(prefix="bench-turn-") as name:
        command = ["-m", "mlx_model", "serve", "--model", str(model), "--cache", str(Path(name) / "cache")]
        with ChatServer(command, Path(name) / "log") as server:
            return [_session(server, draft, turns) for draft in ("none", "auto")]


def _session(server: ChatServer, draft: str, turns: int) -> TurnSpeed:
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    for message in _messages(draft, turns):
        messages.append(message)
        request = {
            "model": "default_model",
            "messages": messages,
            "tools": tools(),
            "temperature": 0,
            "draft": draft,
        }
        if len(messages) < 2 * turns:
            answer = server.complete({**request, "max_tokens": _EARLIER})
            # Without its calls, if there are any: the results that follow are made up.
            reply = answer["choices"][0]["message"].get("content") or "Done."
            messages.append({"role": "assistant", "content": reply})
    return _last_turn(server, draft, request)


def _messages(draft: str, turns: int) -> Iterator[dict[str, Any]]:
    """What the agent sends turn by turn: words as many as a tool's results have, other words for each draft
    mode, so that no session finds its prompts cached by the one before."""
    chosen = random.Random(0)
    for number in range(turns):
        yield {"role": "user", "content": text(f"{draft} {number}", chosen.randint(*_RESULTS))}


def _last_turn(server: ChatServer, draft: str, request: dict[str, Any]) -> TurnSpeed:
    body = {**request, "max_tokens": _LAST, "stream_options": {"include_usage": True}}
    begun = time.perf_counter()
    arrived: list[float] = []
    usage: dict[str, Any] = {}
    timings: dict[str, Any] = {}
    for chunk in server.stream(body):
        usage, timings = chunk.get("usage") or usage, chunk.get("timings") or timings
        if any(_has_piece(choice.get("delta") or {}) for choice in chunk.get("choices") or ()):
            arrived.append(time.perf_counter())
    written = int(timings.get("predicted_n") or 0)
    spent = 1000 * (arrived[-1] - arrived[0]) if arrived else 0.0
    own = float(timings.get("predicted_ms") or 0.0)
    later = max(written - 1, 1)
    return TurnSpeed(
        draft,
        int(usage.get("prompt_tokens") or 0),
        int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0),
        1000 * ((arrived[0] if arrived else time.perf_counter()) - begun),
        1000 * later / spent if spent else 0.0,
        max(0.0, spent / later - own / max(written, 1)),
    )


def _has_piece(delta: dict[str, Any]) -> bool:
    return bool(delta.get("content") or delta.get("reasoning_content") or delta.get("tool_calls"))
