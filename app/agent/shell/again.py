"""What becomes of a command that failed because of the sandbox: the user may let it run once more, with more
rights."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from app.agent.permission.permissions import Permissions
from app.agent.port import PermissionAnswer, PermissionRequest
from app.agent.tools.base import ToolContext, ToolResult, in_thread
from app.errors import TidegateError
from app.settings.settings import remember

_OUTSIDE = "it failed in the sandbox (no network, no writing outside): may it run once more, outside?"
_LOCAL = (
    "let commands serve and reach addresses of this machine (127.0.0.1), whatever else listens there, from now "
    "on (local_servers in the settings), and run it again in the sandbox"
)


async def run_again(
    request: PermissionRequest,
    result: ToolResult,
    context: ToolContext,
    permissions: Permissions,
    *,
    run: Callable[[], Awaitable[ToolResult]],
    ask: Callable[[PermissionRequest], Awaitable[PermissionAnswer]],
    notice: Callable[[str], Awaitable[None]],
) -> ToolResult:
    """The result of `request`'s call, made by `run`: `result`, or that of another run with the rights that it
    lacked, if the user grants them. What cannot be kept as a setting is said by `notice`."""
    while result.was_confined:
        offer = _LOCAL if result.was_kept_from_serving else ""
        answer = await ask(replace(request, reason=_OUTSIDE, always=offer))
        if answer.answer == "deny":
            break
        if answer.answer == "always":
            permissions.allows_local_servers = context.has_local_servers = True
            try:
                await in_thread(lambda: remember("local_servers", True))
            except TidegateError as error:
                await notice(f"Local servers are allowed for this session only: {error}.")
        else:
            context.is_sandboxed = False
        result = await run()
    return result
