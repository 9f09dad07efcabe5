"""One thread that does slow work in order, so that decoding never waits for a disk."""

import threading
from collections import deque
from collections.abc import Callable


class BackgroundWriter:
    """Runs tasks one after another on its own thread. Waiting tasks are bounded by the bytes they hold."""

    def __init__(self, limit_bytes: int, name: str) -> None:
        self._limit = limit_bytes
        self._tasks: deque[tuple[Callable[[], None], int]] = deque()
        self._pending = 0
        self._closed = False
        self._changed = threading.Condition()
        # A daemon: a disk that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, task: Callable[[], None], size: int) -> bool:
        """Queue a task that holds `size` bytes; False, without waiting, when too much waits already. A task may
        be larger than the limit when it is the only one. Tasks must not raise."""
        with self._changed:
            if self._closed or (self._pending and self._pending + size > self._limit):
                return False
            self._tasks.append((task, size))
            self._pending += size
            self._changed.notify_all()
            return True

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything queued is done; False when `timeout` seconds were not enough."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._tasks and not self._pending, timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Finish what is queued, from now on the newest first, and end the thread; False when `timeout` seconds
        were not enough."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._tasks or self._closed)
                if not self._tasks:
                    return
                task, size = self._tasks.pop() if self._closed else self._tasks.popleft()
            try:
                task()
            finally:
                del task  # and with it its arrays, before the waiting threads are told that there is room
                with self._changed:
                    self._pending -= size
                    self._changed.notify_all()
