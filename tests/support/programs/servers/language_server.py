"""A language server that does as it is told: `language_server.py BEHAVIOUR`.

It finds fault with every line that says `bad`, and knows that a name is defined where a line begins `def NAME`.
"""

import json
import re
import sys
import time

behaviour = sys.argv[1] if len(sys.argv) > 1 else "well"
texts: dict[str, str] = {}


def read() -> dict:
    length = 0
    while (line := sys.stdin.buffer.readline()).strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    if not length:
        sys.exit(0)
    return json.loads(sys.stdin.buffer.read(length))


def write(**message: object) -> None:
    data = json.dumps({"jsonrpc": "2.0", **message}).encode()
    sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n" % len(data) + data)
    sys.stdout.buffer.flush()


def publish(uri: str, version: int) -> None:
    found = [
        {
            "range": {"start": {"line": number, "character": 0}, "end": {"line": number, "character": 3}},
            "severity": 1,
            "code": "B1",
            "source": "judge",
            "message": f"{line.strip()} is bad",
        }
        for number, line in enumerate(texts[uri].split("\n"))
        if "bad" in line
    ]
    write(
        method="textDocument/publishDiagnostics", params={"uri": uri, "version": version, "diagnostics": found}
    )


while True:
    message = read()
    method, parameters = message.get("method"), message.get("params") or {}
    if method == "initialize":
        if behaviour == "silent":
            time.sleep(1000)
        write(id=message["id"], result={"capabilities": {"textDocumentSync": 1}})
        write(id=900, method="workspace/configuration", params={"items": [{}]})
        write(id=901, method="what/is/this", params={})
        if behaviour == "babbling":
            sys.stdout.buffer.write(b"Warning: this is no header\r\n" * 50 + b"x" * 100_000 + b"\n")
            write(
                method="textDocument/publishDiagnostics",
                params={"uri": 3, "diagnostics": [None, {"range": []}]},
            )
            write(method="textDocument/publishDiagnostics", params=[])
    elif method in ("textDocument/didOpen", "textDocument/didChange"):
        document = parameters["textDocument"]
        changes = parameters.get("contentChanges")
        texts[document["uri"]] = changes[0]["text"] if changes else document["text"]
        if behaviour == "crashing" and "bad" in texts[document["uri"]]:
            sys.exit(3)
        publish(document["uri"], document["version"])
    elif method in ("textDocument/definition", "textDocument/references"):
        uri, place = parameters["textDocument"]["uri"], parameters["position"]
        lines = texts[uri].split("\n")
        units = lines[place["line"]].encode("utf-16-le")[: 2 * place["character"]]
        at = len(units.decode("utf-16-le"))
        found = re.compile(r"\w*").match(lines[place["line"]], at)
        name = found[0] if found else ""
        wanted = f"def {name}" if method.endswith("definition") else name
        spots = [
            {
                "uri": uri,
                "range": {"start": {"line": number, "character": 0}, "end": {"line": number, "character": 1}},
            }
            for number, line in enumerate(lines)
            if name and wanted in line
        ]
        write(id=message["id"], result=spots)
    elif method == "shutdown":
        write(id=message["id"], result=None)
    elif method == "exit":
        sys.exit(0)
