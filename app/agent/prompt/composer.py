"""The user's message as the model gets it: the words, the files they mention, and the current context."""

from datetime import datetime

from app.agent.errors import ToolFailure
from app.agent.permission.commands.leaving import is_there
from app.agent.prompt.mentions import Mention, find_mentions
from app.agent.prompt.prompt import TurnFacts, project_instructions, user_message
from app.agent.prompt.user_commands import expand, find_user_commands, skills_for_model
from app.agent.session.conversation import Conversation
from app.agent.shell.jobs import Jobs
from app.agent.tools.base import ToolContext, cut, cut_middle, in_thread
from app.agent.tools.toolbox import TOOLS
from app.agent.turn import Hands
from app.model.messages import Message

_MAX_MENTIONS = 20  # files in a message
_MAX_MENTIONED = 48_000  # characters of all that a message mentions
_MAX_COMMAND_OUTPUT = 8_000  # characters


class Composer:
    """Puts the user's messages into `conversation`."""

    def __init__(self, hands: Hands, conversation: Conversation, jobs: Jobs) -> None:
        self._hands = hands
        self._conversation = conversation
        self._jobs = jobs

    async def tell(self, text: str, was_interrupted: bool) -> tuple[str, ...]:
        """Add the message that begins a turn; returns what went along with it, as the user wrote it."""
        root = self._hands.workspace.root
        commands = await in_thread(lambda: find_user_commands(root))
        words = expand(text, commands)
        names, mentioned = await self._mentioned(words)

        def say() -> None:
            facts = TurnFacts(
                root=root,
                mode=self._hands.permissions.mode,
                status=self._hands.workspace.status(),
                today=datetime.now().astimezone().date(),
                todos=self._conversation.todos,
                feedback=self._hands.recorder.feedback(),
                news=self._jobs.news(),
                instructions=self._unless_told(project_instructions(root)),
                was_interrupted=was_interrupted,
                was_moved=self._conversation.was_moved and bool(self._conversation.messages),
                skills=self._unless_told(skills_for_model(commands)),
                commands=self._commands(),
                mentioned=mentioned,
            )
            if names:
                self._conversation.attach(names)
            self._conversation.add(Message("user", user_message(words, facts)))

        # In one go, for review's feedback is given only once: a cancellation must not come in between.
        await in_thread(say)
        return names

    async def steer(self, text: str) -> tuple[str, ...]:
        """Add a message in the middle of a turn; returns what went along with it."""
        names, mentioned = await self._mentioned(text)
        if names:
            self._conversation.attach(names)
        context = f"<context>\n{mentioned}\n</context>\n\n" if mentioned else ""
        self._conversation.steer(text, f"{context}{text}")
        return names

    def _unless_told(self, text: str) -> str:
        """`text`, or "" where the model has it in view."""
        told = any(text in message.content for message in self._conversation.messages if message.role == "user")
        return "" if told else text

    def _commands(self) -> str:
        ran = [
            f"$ {command}\n{cut_middle(result, _MAX_COMMAND_OUTPUT, 'Run it again for the rest.')}"
            for command, result in self._conversation.commands
        ]
        return "\n".join(["The user ran in the shell:", *ran]) if ran else ""

    async def _mentioned(self, text: str) -> tuple[tuple[str, ...], str]:
        """What `text` mentions in the workspace: the names, and what the model is shown of it."""
        workspace = self._hands.workspace

        def exists(path: str) -> bool:
            return not path.startswith(("/", "~")) and is_there(workspace.root / path)

        mentions = (await in_thread(lambda: find_mentions(text, exists)))[:_MAX_MENTIONS]
        names: list[str] = []
        shown: list[str] = []
        room = _MAX_MENTIONED
        for mention in mentions:
            content = await self._content(mention)
            if content is None:
                continue
            advice = "Read it with read_file."
            content = cut(content, room, advice) if room > 0 else f"[{advice}]"
            room -= len(content)
            names.append(mention.name)
            shown.append(f"The user mentions {mention.name}:\n{content}")
        return tuple(names), "\n".join(shown)

    async def _content(self, mention: Mention) -> str | None:
        """What the tools say of it; None where the model may not read it without being asked."""
        hands = self._hands
        is_directory = (hands.workspace.root / mention.path).is_dir()
        tool = TOOLS["list_directory" if is_directory else "read_file"]
        given: dict[str, object] = {"path" if is_directory else "file_path": mention.path}
        if mention.first is not None and mention.last is not None and not is_directory:
            given |= {"offset": mention.first - 1, "limit": mention.last - mention.first + 1}
        arguments = tool.arguments.model_validate(given)

        async def nowhere(_text: str) -> None:
            """Neither tool prints while it works."""

        try:
            access = tool.access(arguments, hands.workspace)
            if hands.permissions.judge(access, tool.name).decision != "allow":
                return None
            context = ToolContext(hands.workspace, hands.files, hands.jobs, nowhere)
            context.is_hidden = hands.permissions.hidden(tool.name)
            result = await tool.run(arguments, context)
        except ToolFailure as error:
            return f"[{error}]"
        return result.text
