"""What may be meant by the command or the file that is being written in the message field."""

import asyncio

from app.agent.port import AgentPort
from app.errors import TidegateError
from app.ui.background import begin_again
from app.ui.completion import Token, command_candidates, file_candidate, rank, with_directories
from app.ui.slash import SLASH_COMMANDS
from app.ui.widgets.agent.completion_list import MOST_SHOWN
from app.ui.widgets.agent.prompt_input import PromptInput
from app.workspace.workspace import Workspace


async def read_user_commands(agent: AgentPort | None) -> dict[str, str]:
    """The user's own commands, with what they do."""
    return dict(await asyncio.to_thread(agent.user_commands)) if agent is not None else {}


class Completer:
    """Keeps the list of completions above `prompt` up to date with its text."""

    def __init__(self, prompt: PromptInput, workspace: Workspace) -> None:
        self._prompt = prompt
        self._workspace = workspace
        self._names: list[str] | None = None
        """The files and directories that a mention may mean, listed when one begins."""

    def complete(self, agent: AgentPort | None) -> None:
        """To be called when the text or the place in it has changed. `agent` knows the user's own commands."""
        token = self._prompt.token()
        if token is None:
            self._names = None
            self._prompt.completions.close()
        else:
            begin_again(self._prompt, "completion", self._find, token, agent)

    async def _find(self, token: Token, agent: AgentPort | None) -> None:
        if token.kind == "command":
            own = [*(await read_user_commands(agent)).items()]
            builtin = [(one.name, one.description) for one in SLASH_COMMANDS]
            found = command_candidates(token.query, [*builtin, *own], MOST_SHOWN)
        else:
            if self._names is None:
                try:
                    files = await asyncio.to_thread(self._workspace.files)
                except TidegateError as error:
                    self._prompt.app.notify(str(error), severity="warning")
                    return
                self._names = await asyncio.to_thread(with_directories, files)
            names = self._names
            ranked = await asyncio.to_thread(rank, token.query, names, MOST_SHOWN)
            found = [file_candidate(path) for path in ranked]
        if self._prompt.token() == token:
            self._prompt.completions.show(token, found)
