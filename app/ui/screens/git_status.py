"""Reads git's status in a thread, for the tree and the status line."""

import asyncio
from collections.abc import Callable

from app.errors import TidegateError
from app.ui.ports import Ports
from app.workspace.model import RepositoryStatus


class GitStatusReader:
    """One reading at a time: what is asked for meanwhile is read once more, afterwards."""

    def __init__(
        self, ports: Ports, show: Callable[[RepositoryStatus | None], None], fail: Callable[[str], None]
    ) -> None:
        """`show` is given each status (None without a repository), `fail` why it could not be read."""
        self._ports = ports
        self._show = show
        self._fail = fail
        self._is_reading = False
        self._is_wanted_again = False

    async def read(self) -> None:
        """Read it, and again while it is asked for."""
        if self._is_reading:
            self._is_wanted_again = True
            return
        self._is_reading = True
        try:
            while True:
                self._is_wanted_again = False
                self._show(await asyncio.to_thread(self._ports.workspace.status))
                if not self._is_wanted_again:
                    return
        except TidegateError as error:
            self._fail(str(error))
        finally:
            self._is_reading = False
