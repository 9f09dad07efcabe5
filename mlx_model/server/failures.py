"""Errors as HTTP responses."""

from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from mlx_model.chat.tools.edits.known_files import FilesMissing
from mlx_model.engine.guarded import OutOfMemory
from mlx_model.errors import EngineError, RequestError
from mlx_model.server.scheduler import EngineStopping
from mlx_model.weights.experts.files import ExpertUnreadable

CLIENT_GONE = 499
"""nginx's status for a client that closed the connection; only the log sees it."""
_ANTHROPIC = {
    "model_not_found": "not_found_error",
    "unavailable": "overloaded_error",
    "server_error": "api_error",
}
"""Types of Anthropic's errors, by OpenAI's codes and types."""


class ContextOverflow(RequestError):
    """A conversation does not fit into the model's context; gives the numbers."""


class UnknownModel(RequestError):
    """A model is asked for by a name that this server does not have."""


class UnknownResponse(RequestError):
    """A request continues a response that is not in memory."""


class NoSuchResponse(RequestError):
    """A response is asked for that is not in memory."""


class Unavailable(EngineError):
    """The engine is loading or shutting down."""


def error_body(message: str, kind: str, code: str | None = None) -> dict[str, Any]:
    """An error body in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def as_anthropic(body: Mapping[str, Any]) -> dict[str, Any]:
    """An error body in Anthropic's form."""
    error = body["error"]
    kind = _ANTHROPIC.get(error["code"]) or _ANTHROPIC.get(error["type"], error["type"])
    return {"type": "error", "error": {"type": kind, "message": error["message"]}}


def error_response(
    path: str, body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """The response to a request for this path, in the form of its wire."""
    is_anthropic = path.removeprefix("/v1").startswith("/messages")
    return JSONResponse(as_anthropic(body) if is_anthropic else body, status, headers)


UNEXPECTED = error_body("The server went wrong; its log says how.", "server_error", "internal_error")


def described(error: EngineError) -> tuple[int, dict[str, Any]]:
    """The HTTP status and body of an error."""
    match error:
        case ContextOverflow():
            return 400, error_body(str(error), "invalid_request_error", "context_length_exceeded")
        case UnknownModel():
            return 404, error_body(str(error), "invalid_request_error", "model_not_found")
        case UnknownResponse():
            return 400, error_body(str(error), "invalid_request_error", "previous_response_not_found")
        case NoSuchResponse():
            return 404, error_body(str(error), "invalid_request_error", "response_not_found")
        case FilesMissing():
            body = error_body(str(error), "invalid_request_error", "files_missing")
            return 409, body | {"missing": list(error.hashes)}
        case RequestError():
            return 400, error_body(str(error), "invalid_request_error")
        case Unavailable() | EngineStopping():
            return 503, error_body(str(error), "server_error", "unavailable")
        case OutOfMemory():
            return 500, error_body(str(error), "server_error", "out_of_memory")
        case ExpertUnreadable():
            return 500, error_body(str(error), "server_error", "expert_unreadable")
        case _:
            return 500, error_body(str(error), "server_error", "generation_failed")


async def _engine_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    status, body = described(error)
    return error_response(request.url.path, body, status, {"Retry-After": "1"} if status == 503 else None)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = {404: "There is nothing at this address.", 405: "This address does not take that method."}
    body = error_body(message.get(error.status_code, str(error.detail)), "invalid_request_error")
    return error_response(request.url.path, body, error.status_code, error.headers)


async def _client_gone(_: Request, _error: Exception) -> Response:
    return Response(status_code=CLIENT_GONE)


async def _unexpected(request: Request, _error: Exception) -> Response:
    return error_response(request.url.path, UNEXPECTED, 500)


HANDLERS: dict[Any, Any] = {
    HTTPException: _http_error,
    EngineError: _engine_error,
    ClientDisconnect: _client_gone,
    Exception: _unexpected,
}
"""Starlette's exception handlers."""
