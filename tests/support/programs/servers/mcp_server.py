"""An MCP server over standard streams, for what the reference servers do not do; it starts at once.

    python mcp_server.py [--without TOOL] [--notes FILE] [--odd TOOLS]

`--notes` is a file to which `wait`, which never answers, writes that it began, and that it was cancelled.
`--odd` is a list of more tools as JSON, however they are described.
"""

import argparse
import base64
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

NUMBER = {"type": "integer", "title": "Number"}
PICTURE = base64.b64encode(b"\x89PNG1234").decode()


def text(said: object) -> list[dict[str, Any]]:
    """A result of one text."""
    return [{"type": "text", "text": str(said)}]


MIXED = [
    *text("first"),
    {"type": "resource", "resource": {"uri": "memo://1", "text": "remember\x1b[31m me"}},
    {"type": "resource", "resource": {"uri": "memo://2", "blob": PICTURE}},
    {"type": "resource_link", "uri": "file:///a", "name": "a", "description": "a file"},
]
TOOLS: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {
    "add": lambda given: text(given["left"] + given["right"]),
    "look": lambda _: text("seen"),
    "wipe": lambda _: text("wiped"),
    "picture": lambda _: [{"type": "image", "data": PICTURE, "mimeType": "image/png"}],
    "mixed": lambda _: MIXED,
    "long": lambda _: text("\n".join(f"line {number}" for number in range(100_000))),
    "fall": lambda _: os._exit(3),
}
HINTS = {"look": {"readOnlyHint": True}, "wipe": {"readOnlyHint": False, "destructiveHint": True}}


def described(name: str) -> dict[str, Any]:
    """A tool as the protocol describes it."""
    numbers = {"left": NUMBER, "right": NUMBER} if name == "add" else {}
    schema = {"type": "object", "title": f"{name}Arguments", "properties": numbers, "required": list(numbers)}
    tool = {"name": name, "description": f"To {name}.", "inputSchema": schema}
    return tool | ({"annotations": HINTS[name]} if name in HINTS else {})


def main() -> None:
    """Serve until the client leaves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", default="")
    parser.add_argument("--notes", type=Path)
    parser.add_argument("--odd", type=json.loads, default=[])
    options = parser.parse_args()
    names = [name for name in (*TOOLS, "wait", "garble") if name != options.without]

    def note(said: str) -> None:
        with options.notes.open("a") as file:
            file.write(said + "\n")

    for line in sys.stdin:
        message = json.loads(line)
        params = message.get("params", {})
        outcome: dict[str, Any] = {"error": {"code": -32601, "message": "no such method"}}
        match message.get("method"):
            case "initialize":
                answer = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}}
                outcome = {"result": answer | {"serverInfo": {"name": "tests", "version": "1"}}}
            case "tools/list":
                outcome = {"result": {"tools": [*options.odd, *map(described, names)]}}
            case "tools/call" if params["name"] == "wait":
                note(f"began {os.getpid()}")
                continue
            case "tools/call" if params["name"] == "garble":
                outcome = {"result": {"content": 5}}
            case "tools/call" if params["name"] in names:
                outcome = {"result": {"content": TOOLS[params["name"]](params.get("arguments", {}))}}
            case "tools/call":
                outcome = {"error": {"code": -32602, "message": f"Unknown tool: {params['name']}"}}
            case "notifications/cancelled" if options.notes:
                note("cancelled")
        if "id" in message:
            print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **outcome}), flush=True)


if __name__ == "__main__":
    main()
