"""Questions and takes for the hunks of all sessions in a workspace."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from typing_extensions import override

from app.agent.errors import SessionError
from app.agent.hunks.asking import HunkQuestion, Told, ask
from app.agent.hunks.takes import Takes, ToWrite, other_takes
from app.agent.port import HunkPort
from app.agent.session.records import Record
from app.agent.session.session import read_session
from app.agent.tools.base import in_thread
from app.agent.turn import Hands


@dataclass(frozen=True, slots=True)
class HunkWork(HunkPort):
    """A HunkPort. `prepare` makes the tools ready that a prompt names."""

    hands: Hands
    prepare: Callable[[], Awaitable[None]]

    @override
    async def ask(self, question: HunkQuestion, told: Told) -> str:
        await self.prepare()
        return await ask(self.hands, await self._records(question.session), question, told)

    @override
    async def takes(self, work: ToWrite, number: int, temperature: float) -> Takes:
        await self.prepare()
        return await other_takes(self.hands, await self._records(work.session), work, number, temperature)

    async def _records(self, session: str) -> tuple[Record, ...]:
        root = self.hands.workspace.root

        def read() -> tuple[Record, ...]:
            try:
                return read_session(root, session)
            except (SessionError, OSError):
                return ()  # the session was removed; what then is read anew is told

        return await in_thread(read)
