"""Starting a command in a sandbox, so that it either begins or is known not to have begun."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from app.agent.errors import ToolFailure
from app.agent.shell.process import CommandProcess

TRIES = 5
# Tells by a byte at the descriptor $0 that the sandbox stands, then becomes the command.
_ANNOUNCE = 'printf . >&"$0"; eval "exec $0>&-"; exec "$@"'


async def start_confined(
    confine: Callable[[Sequence[str]], list[str]], arguments: Sequence[str], directory: Path
) -> CommandProcess:
    """Start `arguments` in `directory` by the command line that `confine` makes of them.

    Bubblewrap mounts over what `confine` found a moment earlier: sockets of other programs, files to hide.
    Where one is gone by then it fails, before the command begins. Everything is then looked for anew and tried
    again, `TRIES` times in all; the command itself is never run twice. Raises ToolFailure with what the sandbox
    said.
    """
    said = ""
    for _ in range(TRIES):
        heard, told = os.pipe()
        try:
            announced = ["bash", "-c", _ANNOUNCE, str(told), *arguments]
            line = await asyncio.to_thread(confine, announced)
            process = await CommandProcess.start(line, directory, (told,))
        except BaseException:
            os.close(heard)
            raise
        finally:
            os.close(told)
        try:
            has_begun = await _is_told(heard)
        except BaseException:
            await process.aclose()
            raise
        if has_begun:
            return process
        said = await _last_words(process)
    raise ToolFailure(f"The sandbox could not be set up, and nothing was run: {said or 'it gave no reason'}.")


async def _is_told(pipe: int) -> bool:
    """Whether something comes through `pipe` before its other end is closed."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb", buffering=0)
    )
    try:
        return bool(await reader.read(1))
    finally:
        transport.close()


async def _last_words(process: CommandProcess) -> str:
    words: list[str] = []

    async def collect(text: str) -> None:
        words.append(text)

    await process.run(collect, None)
    return "".join(words).strip().removesuffix(".")
