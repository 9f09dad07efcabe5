"""Which session the agent's pane talks in: the first one at the start, and another when it is asked for."""

import asyncio
from pathlib import Path

from app.agent.events import AgentEvent
from app.agent.port import AgentPort
from app.errors import TidegateError
from app.ui.panes.agent import AgentPane
from app.ui.ports import OpenAgent

_MOST_REMEMBERED = 500  # messages of earlier sessions in the history


class SessionOpening:
    """Opens sessions of the workspace `root` in `pane`."""

    def __init__(self, pane: AgentPane, open_agent: OpenAgent, root: Path) -> None:
        self._pane = pane
        self._open_agent = open_agent
        self._root = root

    async def begin(self, session: str | None, sessions_key: str) -> None:
        """Open `session`, or a new one where it is None or cannot be opened, and say which one was the last;
        `sessions_key` lists them."""
        wanted = session
        try:
            if session is not None:
                try:
                    await self.open(session)
                except TidegateError as error:
                    self._pane.tell(f"{error}. This is a new session.", is_error=True)
                    session = None
            if session is None:
                await self.open(None)
            last, said = await asyncio.to_thread(self._look_back)
        except TidegateError as error:
            self._pane.refuse(str(error))
            return
        self._pane.prompt.remember(said)
        if last is not None and wanted is None:
            self._pane.offer(*last, sessions_key)

    def _look_back(self) -> tuple[tuple[str, float] | None, list[str]]:
        """The last session's title and when it was used, and what was said in all of them."""
        from app.agent.session.index import last_said, sessions  # noqa: PLC0415  the first frame does not wait

        last = next(sessions(self._root), None)
        title = (last.title, last.used) if last is not None else None
        return title, last_said(self._root, _MOST_REMEMBERED)

    async def open(self, session: str | None) -> None:
        """Talk to an agent in a new session or in an old one. Raises TidegateError; then all is as before."""

        def open_it() -> tuple[AgentPort, tuple[AgentEvent, ...]]:
            agent = self._open_agent(self._pane, session)
            return agent, agent.history() if session is not None else ()

        # In a thread, for what it imports and opens.
        agent, history = await asyncio.to_thread(open_it)
        await self._pane.connect(agent, history)
        # The first message shall not have to wait for them.
        self._pane.run_worker(agent.start_servers(), group="servers")
