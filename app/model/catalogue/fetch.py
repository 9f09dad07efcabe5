"""Fetching a checkpoint: the side that watches and cancels. The download itself runs in another process."""

import json
import os
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from app.model.errors import DownloadFailed
from app.subprocesses import kill_group, start_process


@dataclass(frozen=True, slots=True)
class FetchProgress:
    """How much has arrived, in bytes, what was there before included."""

    done: int
    total: int


async def fetch_model(repository: str) -> AsyncGenerator[FetchProgress | Path]:
    """Download `repository` (owner/name) from the Hub into models_directory(): progress as it goes, at last the
    finished directory.

    Closing the iterator, or cancelling the task that reads it, stops the download at once; the next one goes on
    from there. Raises DownloadFailed with one clear sentence: no such model, no connection, no room.
    """
    process = await start_process(
        [sys.executable, "-P", "-m", "app.model.catalogue.download", repository],
        {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1"},
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            said = json.loads(line)
            if "what" in said:
                raise DownloadFailed(said["what"], said["remedy"])
            if "path" in said:
                yield Path(said["path"])
                return
            yield FetchProgress(**said)
        raise DownloadFailed("the download ended without a word", "run it again: what has arrived is kept")
    finally:
        await kill_group(process)
