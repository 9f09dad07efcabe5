"""`tidegate review --watch`: what any program changes here becomes the agent's hunks, while one looks."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from app.git.git import Git
from app.workspace.ignore import IgnoreRules
from app.workspace.watch import watch


async def changed_outside(root: Path) -> AsyncIterator[None]:
    """Yields whenever files or git's state changed. Raises WorkspaceError where the system cannot watch."""
    paths = await asyncio.to_thread(Git(root).paths)
    directory = paths.directory if paths is not None else None
    async for _ in watch(root, directory, IgnoreRules(root)):
        yield
