"""The review, opened when it is first asked for something: a screen's first frame needs nothing of its log."""

from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, cast

from app.review.port import ReviewPort


class _Late:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._opening = Lock()

    @cached_property
    def _opened(self) -> Any:
        from app.review.review import Review  # noqa: PLC0415  what this is for

        return Review(self._root)

    def __getattr__(self, name: str) -> Any:
        # The first two questions may come from two threads.
        with self._opening:
            review = self._opened
        return getattr(review, name)


def open_late(root: Path) -> ReviewPort:
    """The review of the directory `root`."""
    return cast(ReviewPort, _Late(root))
