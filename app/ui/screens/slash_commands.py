"""Runs slash commands and switches between sessions."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, get_args

from app.errors import TidegateError
from app.model.port import EnginePort
from app.settings.settings import Effort, Mode
from app.ui.adapter_choice import choose_adapter
from app.ui.base import ActionApp
from app.ui.dialogs.rewind import Rewind
from app.ui.panes.agent import AgentPane
from app.ui.screens.session_opening import SessionOpening
from app.ui.slash import BY_NAME, INIT_PROMPT, SLASH_COMMANDS, parse


class SlashCommands:
    """Carries out the commands of the table app.ui.slash.SLASH_COMMANDS."""

    def __init__(
        self, agent: AgentPane, sessions: SessionOpening, rewind: Rewind, root: Path, engine: EnginePort
    ) -> None:
        self._agent = agent
        self._engine = engine
        self._sessions = sessions
        self._rewinding = rewind
        self._root = root
        self._handlers: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
            "help": self._help,
            "new": self._new,
            "clear": self._new,
            "resume": self._resume,
            "fork": self._fork,
            "rename": self._rename,
            "export": self._export,
            "mode": self._mode,
            "effort": self._effort,
            "model": self._model,
            "adapter": self._adapter,
            "context": self._context,
            "mcp": self._mcp,
            "compact": self._compact,
            "diff": self._diff,
            "rewind": self._rewind,
            "commit": self._commit,
            "test": self._test,
            "settings": lambda _words: self._app.action_perform("app.settings"),
            "theme": lambda _words: self._app.action_perform("app.theme"),
            "keys": lambda _words: self._app.action_perform("app.keys"),
            "init": self._init,
        }

    @property
    def _app(self) -> ActionApp[Any]:
        app = self._agent.app
        assert isinstance(app, ActionApp)
        return app

    async def do(self, text: str) -> None:
        """Run `text`, which begins with a slash: a command of the table, or one of the user's own."""
        pane = self._agent
        name, words = parse(text) or ("", "")
        command = BY_NAME.get(name)
        await pane.until_decided()
        try:
            if command is None:
                if name in await pane.read_user_commands():
                    pane.send(text)
                else:
                    pane.tell(f"There is no command /{name}. /help lists them.", is_error=True)
            elif command.waits and pane.is_working:
                pane.tell(
                    f"/{name} waits until the agent is done; {self._app.key_of('workspace.cancel')} stops it."
                )
            else:
                await self._handlers[name](words)
        except TidegateError as error:
            pane.tell(str(error), is_error=True)

    # What is said and shown.

    async def _help(self, _words: str) -> None:
        own = await self._agent.read_user_commands()
        rows = [(f"/{one.name} {one.words}".strip(), one.description) for one in SLASH_COMMANDS]
        rows += [(f"/{name}", description) for name, description in own.items()]
        rows += [
            ("@file  @folder/  @file:10-40", "Send a file, a folder's list or some lines along"),
            ("!command", "Run a shell command yourself; the agent is told with your next message"),
        ]
        # The pane may be narrow: no columns.
        lines = [f"- `{left}`: {right}" for left, right in rows]
        lines.append(f"\n`{self._app.key_of('app.help')}` lists the keys.")
        self._agent.explain("\n".join(lines))

    async def _model(self, _words: str) -> None:
        await self._app.action_perform("workspace.model")

    async def _mode(self, words: str) -> None:
        if not words:
            self._agent.cycle_mode()
        elif words in get_args(Mode):
            self._agent.set_mode(words)  # type: ignore[arg-type]
        else:
            self._agent.tell(f"There is no mode {words!r}; there are plan, ask and auto.", is_error=True)

    async def _effort(self, words: str) -> None:
        known = get_args(Effort)
        if not words:
            before = known.index(self._agent.port.effort)
            self._agent.set_effort(known[(before + 1) % len(known)])
        elif words in known:
            self._agent.set_effort(words)  # type: ignore[arg-type]
        else:
            self._agent.tell(f"There is no effort {words!r}; there are {', '.join(known)}.", is_error=True)

    async def _adapter(self, words: str) -> None:
        if wrong := await choose_adapter(words, self._engine, self._agent.tell):
            self._agent.tell(wrong, is_error=True)

    async def _context(self, _words: str) -> None:
        use = self._agent.port.context_use()
        whole = use.length or max(use.used, 1)
        lines = ["What the next prompt holds, estimated:"]
        rows = [*use.parts] + ([("Kept free for the reply", use.reserved)] if use.reserved else [])
        for name, tokens in rows:
            lines.append(f"{tokens:>7,} {round(100 * tokens / whole):>3}%  {name}")
        of = f", of {use.length:,} tokens" if use.length else " tokens"
        lines.append(f"{use.used:>7,} {round(100 * use.used / whole):>3}%  Together{of}")
        self._agent.tell("\n".join(lines))

    async def _mcp(self, _words: str) -> None:
        from app.agent.mcp.servers import described  # noqa: PLC0415  the first frame does not wait for it

        self._agent.tell("\n".join(described(self._agent.port.servers())))

    async def _compact(self, _words: str) -> None:
        done = await asyncio.to_thread(self._agent.port.compact)
        self._agent.tell(
            "The model now has a summary of all but the last turn. Here everything stays."
            if done
            else "There is nothing to leave out yet."
        )

    async def _diff(self, _words: str) -> None:
        await self._app.action_perform("workspace.review")

    async def _test(self, _words: str) -> None:
        await self._app.action_perform("workspace.run_tests")

    async def _commit(self, _words: str) -> None:
        await self._app.action_perform("workspace.review")
        await self._app.action_perform("review.commit")

    async def _rewind(self, _words: str) -> None:
        await self._rewinding.choose()

    async def _init(self, _words: str) -> None:
        self._agent.send(INIT_PROMPT)

    # Sessions.

    async def _new(self, _words: str) -> None:
        await self._sessions.open(None)

    async def _resume(self, words: str) -> None:
        from app.ui.dialogs.sessions import SessionsScreen  # noqa: PLC0415  it imports the agent's tools

        def go_on(session: str | None) -> None:
            if session is not None:
                self._agent.run_worker(self.open_session(session), group="agent")

        current = self._agent.session_id
        self._app.push_screen(SessionsScreen(self._root, current, words), go_on)

    async def open_session(self, session: str) -> None:
        """Go on with a session; what prevents it is told in the transcript."""
        try:
            await self._sessions.open(session)
        except TidegateError as error:
            self._agent.tell(str(error), is_error=True)

    async def _fork(self, _words: str) -> None:
        from app.agent.session.session import fork_session  # noqa: PLC0415

        current = self._agent.port.session_id
        await self._sessions.open(await asyncio.to_thread(fork_session, self._root, current))
        self._agent.tell("This is a copy; the session it was made from stays as it was.")

    async def _rename(self, words: str) -> None:
        if not words:
            self._agent.tell("Write the title behind it: /rename TITLE", is_error=True)
            return
        await asyncio.to_thread(self._agent.port.rename, words)
        self._agent.tell(f"This session is called “{words}” now.")

    async def _export(self, words: str) -> None:
        from app.ui.dialogs.sessions import export_session  # noqa: PLC0415

        current = self._agent.port.session_id
        target = await asyncio.to_thread(export_session, self._root, current, words)
        self._agent.tell(f"Written to {target}")
