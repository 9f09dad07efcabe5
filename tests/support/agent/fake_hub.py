"""A stand-in for the Hub's HTTP interface: a model's description, and its files with ranges and redirects."""

import hashlib
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves one repository of `files`; a context manager. `url` is what HF_ENDPOINT is set to.

    `hold_after`: after that many bytes of weights in all, a response stops until `release` is set.
    `break_after`: the first response with weights is cut there. `claimed`: sizes to claim in place of the real
    ones. `damaged`: files sent with other bytes than described.
    `served` counts the bytes of weights sent; `ranges` lists the Range headers that came.
    """

    def __init__(self, repository: str, files: Mapping[str, bytes]) -> None:
        self.repository, self.files = repository, dict(files)
        self.status = 200
        self.error_code = ""
        self.hold_after: int | None = None
        self.break_after: int | None = None
        self.claimed: dict[str, int] = {}
        self.damaged: set[str] = set()
        self.release = threading.Event()
        self.holding = threading.Event()
        self.served = 0
        self.ranges: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub._answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FakeHub":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        if self.status != 200:
            self._send(request, self.status, b'{"error": "scripted"}', **{"X-Error-Code": self.error_code})
        elif path in (
            f"/api/models/{self.repository}",
            f"/api/models/{self.repository}/revision/{COMMIT}",
        ):
            self._send(request, 200, json.dumps(self._description()).encode())
        elif path.startswith(f"/{self.repository}/resolve/{COMMIT}/"):
            location = path.replace(f"/{self.repository}/resolve/{COMMIT}/", "/storage/")
            self._send(request, 302, b"", Location=location)
        elif path.startswith("/storage/") and path.removeprefix("/storage/") in self.files:
            self._file(request, path.removeprefix("/storage/"))
        else:
            self._send(request, 404, b"{}", **{"X-Error-Code": "RepoNotFound"})

    def _description(self) -> dict[str, object]:
        siblings = []
        for name, content in self.files.items():
            size = self.claimed.get(name, len(content))
            entry: dict[str, object] = {"rfilename": name, "size": size, "blobId": "0" * 40}
            if name.endswith(".safetensors"):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"sha256": digest, "size": size, "pointerSize": 130}
            siblings.append(entry)
        return {"id": self.repository, "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}

    def _file(self, request: BaseHTTPRequestHandler, name: str) -> None:
        content = self.files[name]
        if name in self.damaged:
            content = bytes(reversed(content))
        start = 0
        asked = request.headers.get("Range")
        if asked:
            self.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").split("-")[0])
        body = content[start:]
        request.send_response(206 if asked else 200)
        if asked:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        for offset in range(0, len(body), 4096):
            piece = body[offset : offset + 4096]
            if name.endswith(".safetensors"):
                if self.hold_after is not None and self.served >= self.hold_after:
                    self.holding.set()
                    self.release.wait()
                if self.break_after is not None and self.served >= self.break_after:
                    self.break_after = None
                    request.close_connection = True
                    return
                self.served += len(piece)
            try:
                request.wfile.write(piece)
            except OSError:
                return  # the client left

    def _send(self, request: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
