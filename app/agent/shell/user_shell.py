"""A command that the user runs from the message field: confined like the agent's, and told to the model."""

from app.agent.activity import Emit
from app.agent.errors import ToolFailure
from app.agent.events import Noticed, ToolFinished, ToolOutput, ToolStarted
from app.agent.permission.commands.judge import judge
from app.agent.permission.commands.needs_terminal import needs_terminal
from app.agent.port import PermissionRequest
from app.agent.session.conversation import Conversation
from app.agent.shell.again import run_again
from app.agent.shell.sandbox import find_sandbox
from app.agent.tools.base import ToolContext, ToolResult, in_thread
from app.agent.tools.toolbox import TOOLS
from app.agent.turn import NO_SANDBOX, Hands

_MILLISECONDS = 600_000
"""Ten minutes: a person's own command may take as long as the agent's longest."""
_CANCELLED = "Cancelled by the user."


async def run_for_user(command: str, hands: Hands, conversation: Conversation, emit: Emit) -> None:
    """Run `command` and note it for the model's next turn. What fails because of the sandbox may, once asked,
    run outside. Cancelled, it ends the command and notes that."""
    tool = TOOLS["run_shell_command"]
    given = {"command": command, "timeout": _MILLISECONDS}
    arguments = tool.arguments.model_validate(given)
    summary = tool.summary(arguments)
    call_id = f"user-{id(arguments)}"
    context = ToolContext(
        hands.workspace,
        hands.files,
        hands.jobs,
        lambda text: emit(ToolOutput(call_id, text)),
        is_sandboxed=True,
        has_local_servers=hands.permissions.allows_local_servers,
    )
    result = ToolResult(_CANCELLED, ok=False)
    try:
        await emit(ToolStarted(call_id, tool.name, {"command": command}, summary, is_users=True))
        root = hands.workspace.root
        drawing = needs_terminal(judge(command, root, root))
        if drawing is not None:
            raise ToolFailure(
                f"{drawing} needs a terminal, which commands behind ! do not have: use the terminal pane."
            )
        if await in_thread(find_sandbox) is None:
            await emit(Noticed(NO_SANDBOX))
        result = await tool.run(arguments, context)
        if result.was_confined:
            result = await run_again(
                PermissionRequest(call_id, tool.name, given, summary, "", is_users=True),
                result,
                context,
                hands.permissions,
                run=lambda: tool.run(arguments, context),
                ask=hands.asker.ask,
                notice=lambda text: emit(Noticed(text)),
            )
    except ToolFailure as error:
        result = ToolResult(str(error), ok=False)
    finally:
        conversation.ran(command, result.text, result.ok)
    await emit(ToolFinished(call_id, tool.name, result.ok, result.text, result.display or result.text))
