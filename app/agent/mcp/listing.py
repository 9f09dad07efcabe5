"""The transport of a connection, with the tools left out of a server's list that are not described as the
protocol has it. The SDK would refuse the whole list for one of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

Transport = AbstractAsyncContextManager[tuple[Any, Any]]
"""As the SDK has them: it yields the streams to read and to write."""
_USUAL_VERSION = "2025-11-25"
"""The version whose rules hold where none was agreed on, as in the SDK."""


class _Listing:
    """The stream that a server's messages come from."""

    def __init__(
        self,
        stream: Any,
        version: Callable[[], str | None],
        left_out: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._version = version
        self._left_out = left_out

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> "_Listing":
        return self

    async def __anext__(self) -> "SessionMessage | Exception":
        return self._filtered(await self._stream.__anext__())

    async def receive(self) -> "SessionMessage | Exception":
        """The next message."""
        return self._filtered(await self._stream.receive())

    async def __aenter__(self) -> "_Listing":
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        left: bool | None = await self._stream.__aexit__(*error)
        return left

    def _filtered(self, item: "SessionMessage | Exception") -> "SessionMessage | Exception":
        result = None if isinstance(item, Exception) else getattr(item.message, "result", None)
        tools = result.get("tools") if isinstance(result, dict) else None
        if result is not None and isinstance(tools, list):
            kept = []
            for number, tool in enumerate(tools, 1):
                if _is_sound(result, tool, self._version() or _USUAL_VERSION):
                    kept.append(tool)
                else:
                    name = tool.get("name") if isinstance(tool, dict) else None
                    self._left_out(name if isinstance(name, str) and name else f"number {number}")
            result["tools"] = kept
        return item


def _is_sound(result: dict[str, Any], tool: object, version: str) -> bool:
    """Whether the SDK accepts the list `result` with this tool alone in it, or would not accept it empty."""
    from mcp.types import ListToolsResult  # noqa: PLC0415  a connection is open, so it is here
    from mcp.types.methods import validate_server_result  # noqa: PLC0415
    from pydantic import ValidationError  # noqa: PLC0415

    def is_accepted(tools: list[object]) -> bool:
        try:
            validate_server_result("tools/list", version, {**result, "tools": tools})
            ListToolsResult.model_validate({**result, "tools": tools}, by_name=False)
        except ValidationError:
            return False
        return True

    return is_accepted([tool]) or not is_accepted([])


@asynccontextmanager
async def _filtering(
    transport: Transport, version: Callable[[], str | None], left_out: Callable[[str], None]
) -> AsyncIterator[tuple[Any, Any]]:
    async with transport as (read, write):
        yield _Listing(read, version, left_out), write


def sound_tools_only(
    transport: Transport, version: Callable[[], str | None], left_out: Callable[[str], None]
) -> Transport:
    """`transport`, with the name of each tool that is not described as `version` has it told to `left_out`."""
    return _filtering(transport, version, left_out)
