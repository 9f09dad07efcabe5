"""bench cache: tokens computed for each request of an agent's sessions, compared with the new tokens in it.

Whole servers are measured over HTTP, so that everything between a client's messages and the model's state
counts: the template, the tokens of replies, the positions of snapshots, the state after a restart.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mlx_model.bench.cache_lookup import measure_lookup
from mlx_model.bench.cache_scripts import Script, chat_scripts, scripts, tools
from mlx_model.bench.processes.chat_server import ChatServer
from mlx_model.chat.prompt import PromptEncoder
from mlx_model.commands.shared.chats import add_chats, read_messages


@dataclass(frozen=True, slots=True)
class Row:
    """One request, in tokens: its prompt; those of it that no earlier request or reply shares as a prefix;
    those computed. `restart`: the server was restarted before it."""

    script: str
    step: int
    restart: bool
    prompt: int
    new: int
    computed: int

    @property
    def excess(self) -> int:
        """Tokens computed again although the server had computed them before."""
        return self.computed - self.new


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument(
        "--reply-tokens", type=int, default=24, metavar="N", help="length of a reply (default 24)"
    )
    add_chats(parser)
    parser.add_argument(
        "--compare", action="store_true", help="run the same sessions on mlx_lm.server and show both"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 when a server failed. Raises EngineError."""
    encoder = PromptEncoder.from_directory(arguments.model)
    sessions = scripts() if arguments.chats is None else chat_scripts(read_messages(arguments.chats))
    results: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as name:
        folder = Path(name)
        model = str(arguments.model)
        commands = {
            "tidegate": ["-m", "mlx_model", "serve", "--model", model, "--cache", str(folder / "cache")]
        }
        if arguments.compare:
            commands["mlx_lm.server"] = ["-m", "mlx_lm", "server", "--model", model]
        for server, command in commands.items():
            with ChatServer(command, folder / f"{server}.log") as running:
                results[server] = list(replay(running, encoder, sessions, arguments.reply_tokens))
    lookup = measure_lookup()
    if arguments.json:
        rows = {server: [_described(row) for row in found] for server, found in results.items()}
        worst = {server: max(row.excess for row in found) for server, found in results.items()}
        print(json.dumps({"rows": rows, "worst_excess": worst, "lookup": lookup}))
    else:
        _print_table(results)
        print("\n" + "\n".join(f"{key:30} {value}" for key, value in lookup.items()))
    return 0


def replay(
    server: ChatServer, encoder: PromptEncoder, sessions: Iterable[Script], reply_tokens: int
) -> Iterable[Row]:
    """Sends all requests of the sessions to a running server, and gives a row for each. A request whose reply
    is cut has no row, for not every server reports its cost. Raises BenchServerFailed."""
    for script in sessions:
        # The end of system and tools, where every conversation of the session begins.
        shared = encoder.encode([script.system, {"role": "user", "content": ""}], tools()).boundaries[0]
        known: list[int | None] = []
        told: list[list[dict[str, Any]]] = []
        for number, step in enumerate(script.steps):
            if step.restart:
                server.stop()
                server.start()
            before = [script.system] if step.parent is None else told[step.parent]
            messages = [*before, step.message]
            request = {
                "model": "default_model",
                "messages": messages,
                "tools": tools(),
                "max_tokens": reply_tokens,
                "temperature": 0,
            }
            if step.cut is not None:
                text = _cut_reply(server, request, step.cut)
                told.append([*messages, {"role": "assistant", "content": text}])
                known.append(None)
                continue
            answer = server.complete(request)
            usage = answer["usage"]
            prompt, reply = int(usage["prompt_tokens"]), answer["choices"][0]["message"]
            cached = int((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
            begun = shared if number else 0
            old = begun if step.parent is None else known[step.parent]
            if old is None:
                # The server's token count of the cut reply is unknown, but not that of the text after it.
                encoded = encoder.encode(messages, tools())
                old = prompt - (len(encoded.tokens) - encoded.boundaries[-2] + 1)
            yield Row(script.name, number, step.restart, prompt, max(0, prompt - old), prompt - cached)
            told.append([*messages, _as_sent_back(reply)])
            known.append(prompt + int(usage["completion_tokens"]))


def _cut_reply(server: ChatServer, request: dict[str, Any], cut: Literal["left", "stop string"]) -> str:
    if cut == "left":
        return server.leave({**request, "max_tokens": 40 * request["max_tokens"]}, request["max_tokens"])
    whole = str(server.complete(request)["choices"][0]["message"]["content"])
    middle = len(whole) // 2
    stopped = server.complete({**request, "stop": [whole[middle : middle + 4]]})
    return str(stopped["choices"][0]["message"]["content"])


def _as_sent_back(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply as a client sends it back in its next request."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.get("content") or ""}
    if reply.get("tool_calls"):
        message["tool_calls"] = reply["tool_calls"]
    return message


def _described(row: Row) -> dict[str, Any]:
    return {**asdict(row), "excess": row.excess}


def _print_table(results: dict[str, list[Row]]) -> None:
    servers = list(results)
    print(f"{'':24}{'':4}" + "".join(f"{server:>34}" for server in servers))
    print(f"{'session':24}{'no':>4}" + f"{'prompt':>10}{'new':>8}{'computed':>10}{'more':>6}" * len(servers))
    for rows in zip(*results.values(), strict=True):
        first = rows[0]
        cells = "".join(f"{row.prompt:>10}{row.new:>8}{row.computed:>10}{row.excess:>6}" for row in rows)
        print(f"{first.script + (' ↻' if first.restart else ''):24}{first.step:>4}{cells}")
    for server, found in results.items():
        print(f"{server}: at most {max(row.excess for row in found)} tokens computed again in one request.")
