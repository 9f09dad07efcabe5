"""Access control of the server, and the time since its last request."""

import asyncio
import hmac
import ipaddress
import re
import time
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mlx_model.server.failures import error_body, error_response

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[a-zA-Z0-9.:\[\]_-]+")


class Activity:
    """Requests in progress, and the time since the last one ended."""

    def __init__(self) -> None:
        self._running = 0
        self._last = time.monotonic()

    def begin(self) -> None:
        """A request has arrived."""
        self._running += 1

    def end(self) -> None:
        """A request was answered, or its client disconnected."""
        self._running -= 1
        self._last = time.monotonic()

    async def until_idle_for(self, seconds: float) -> None:
        """Returns after `seconds`, counted from now, in which no request arrived or was in progress."""
        self._last = time.monotonic()
        while True:
            idle = 0.0 if self._running else time.monotonic() - self._last
            if idle >= seconds:
                return
            await asyncio.sleep(seconds - idle)


class Guard:
    """Middleware that refuses requests without access, before anything else handles them.

    A web page in the user's browser can send requests to loopback addresses too, directly or by a host name
    that resolves to one (DNS rebinding). Such requests carry an Origin, or that name as Host: both are refused
    where no key protects the server, except for `origins` that the user has allowed. Where a key is set,
    everything but /health needs it.
    """

    def __init__(
        self,
        app: ASGIApp,
        activity: Activity,
        api_key: str | None,
        check_host: bool,
        origins: Collection[str] = (),
    ) -> None:
        self._app = app
        self._origins = frozenset(origins)
        self._activity = activity
        self._api_key = api_key
        self._check_host = check_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["path"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self._activity.begin()
        try:
            await self._app(scope, receive, send)
        finally:
            self._activity.end()

    def _refusal(self, path: str, headers: Headers) -> Response | None:
        if self._api_key is not None:
            scheme, _, key = headers.get("authorization", "").partition(" ")
            given = [key.strip()] if scheme.lower() == "bearer" else []
            given += [headers["x-api-key"].strip()] if "x-api-key" in headers else []
            known = [hmac.compare_digest(key.encode(), self._api_key.encode()) for key in given]
            if path != "/health" and not any(known):
                message = "This server needs its API key, as Authorization: Bearer KEY or as X-Api-Key: KEY."
                body = error_body(message, "authentication_error", "invalid_api_key")
                return error_response(path, body, 401, {"WWW-Authenticate": "Bearer"})
        elif "origin" in headers and headers["origin"] not in self._origins:
            origin = headers["origin"]
            named = origin if is_origin(origin) else "ORIGIN"
            message = (
                "Requests of web pages are not answered. If you trust this page, start the engine with "
                f"--allow-origin {named}"
            )
            return error_response(path, error_body(message, "permission_error"), 403)
        if self._check_host and not _is_loopback(headers.get("host", "")):
            message = "This server answers to localhost and loopback addresses only."
            return error_response(path, error_body(message, "permission_error"), 403)
        return None


def is_origin(text: str) -> bool:
    """Whether a text can be the Origin of a page: scheme, host and perhaps port."""
    return _ORIGIN.fullmatch(text) is not None


def _is_loopback(host: str) -> bool:
    """Whether a Host header is localhost or a loopback address, names that no DNS server can redirect."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
