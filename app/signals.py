"""Turns SIGINT and SIGTERM into the cancellation of the running task, so that it cleans up after itself."""

import asyncio
import os
import signal


def cancel_on_signals() -> list[int]:
    """Have the first SIGINT or SIGTERM cancel the current task; its number is then in the returned list. The
    second ends the process at once."""
    task = asyncio.current_task()
    assert task is not None
    stopped_by: list[int] = []

    def stop(number: int) -> None:
        if stopped_by:
            # Asked again: a file system that hangs would keep a thread, and with it this process, for ever.
            os._exit(128 + number)
        stopped_by.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    return stopped_by
