"""Putting the agent's questions to whoever sits before the editor."""

import asyncio
from pathlib import Path

from acp.exceptions import RequestError
from acp.interfaces import Client
from acp.schema import AllowedOutcome, PermissionOption, ToolCallLocation, ToolCallUpdate
from typing_extensions import override

from app.acp.updates import as_content, diff_of, kind_of, path_of
from app.agent.port import PermissionAnswer, PermissionAsker, PermissionRequest


class EditorAsker(PermissionAsker):
    """A PermissionAsker. `session_id` is set once the session has its name."""

    def __init__(self, client: Client, root: Path) -> None:
        self._client = client
        self._root = root
        self.session_id = ""

    @override
    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        """An editor that does not answer the question declines."""
        path = path_of(self._root, request.name, request.arguments)
        diff = None
        if path is not None:
            place = path
            diff = await asyncio.to_thread(lambda: diff_of(place, request.name, request.arguments))
        content = [diff] if diff is not None else as_content(request.summary)
        options = [PermissionOption(option_id="once", name="Allow", kind="allow_once")]
        if request.always:
            options.append(
                PermissionOption(option_id="always", name=f"Always: {request.always}", kind="allow_always")
            )
        options.append(PermissionOption(option_id="deny", name="Decline", kind="reject_once"))
        first = next(iter(request.summary.splitlines()), request.name)
        if request.is_part:
            # The call keeps its own name.
            asked = as_content(f"{request.summary}\n{request.reason}")
            return await self._put(ToolCallUpdate(tool_call_id=request.call_id, content=asked), options)
        call = ToolCallUpdate(
            tool_call_id=request.call_id,
            title=f"{first} — {request.reason}",
            kind=kind_of(request.name),
            status="pending",
            content=content,
            locations=[ToolCallLocation(path=str(path))] if path is not None else None,
            raw_input=dict(request.arguments),
        )
        return await self._put(call, options)

    async def _put(self, call: ToolCallUpdate, options: list[PermissionOption]) -> PermissionAnswer:
        try:
            response = await self._client.request_permission(
                session_id=self.session_id, tool_call=call, options=options
            )
        except RequestError as error:
            return PermissionAnswer("deny", f"The editor could not ask: {error}.")
        except ValueError:
            return PermissionAnswer("deny", "The editor's answer was none of the protocol's.")
        if isinstance(response.outcome, AllowedOutcome) and response.outcome.option_id in ("once", "always"):
            return PermissionAnswer("always" if response.outcome.option_id == "always" else "once")
        return PermissionAnswer("deny")
