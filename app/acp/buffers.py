"""Files as the editor has them, saved or not.

They are read through the editor and written to the disk: review notes the bytes before they change, with the
file's own encoding, line endings and mode, none of which the protocol's `fs/write_text_file` has. An editor
notices what changed on the disk, as it does with any other program (app.agent.tools.files says what happens
in between).
"""

import asyncio
from concurrent.futures import TimeoutError as TooLong
from pathlib import Path

from acp.exceptions import RequestError
from acp.interfaces import Client

from app.agent.errors import ToolFailure

_SECONDS = 10.0
"""Seconds for the editor to answer with a buffer's text: it only has to look it up, so a slower one hangs."""


class EditorBuffers:
    """Answers from a thread what the editor, on the event loop, says. `session_id` is set once the session has
    its name."""

    def __init__(self, client: Client, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop
        self.session_id = ""

    def __call__(self, path: Path) -> str | None:
        """See app.agent.tools.files.Unsaved."""
        answer = asyncio.run_coroutine_threadsafe(
            self._client.read_text_file(session_id=self.session_id, path=str(path)), self._loop
        )
        try:
            return answer.result(_SECONDS).content
        except RequestError:
            return None  # no file of the editor's
        except (TooLong, ConnectionError, ValueError) as error:
            answer.cancel()
            raise ToolFailure(
                f"The user's editor does not say what it has of {path.name}. Try again."
            ) from error
