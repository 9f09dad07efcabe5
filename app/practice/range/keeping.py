"""How many practice folders stay: the newest ones, those that are open, and those with something to review."""

import fcntl
import os
import shutil
from pathlib import Path

from app.agent.session.session import sessions_directory
from app.locks import is_unlocked
from app.review.errors import ReviewError
from app.review.log.store import review_directory
from app.review.review import Review

KEPT = 20
"""Folders, of about 200 KB with what git keeps in each."""

_held: list[int] = []
"""The descriptor of the folder that this process uses; the system gives its lock back when it ends."""


def hold(folder: Path) -> None:
    """Keep `folder` from being removed while this process runs, or until it holds another. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    while _held:
        os.close(_held.pop())
    _held.append(descriptor)


def make_room(parent: Path) -> None:
    """Remove practice folders below `parent` but the newest KEPT, with their sessions and their review. Those
    that are open in a window, or hold changes that nobody has decided, stay."""
    folders = sorted(parent.glob("task-*"), key=_changed, reverse=True)
    for folder in folders[KEPT:]:
        root = folder.resolve()
        sessions, review = sessions_directory(root), review_directory(root)
        if not all(map(is_unlocked, (folder, *sessions.glob("*.jsonl")))) or _is_undecided(root):
            continue
        for directory in (sessions, review, folder):
            shutil.rmtree(directory, ignore_errors=True)  # what refuses is tried again the next time


def _changed(folder: Path) -> float:
    """When files were last added to it or replaced in it; now, where another window has just removed it."""
    try:
        return folder.stat().st_mtime
    except OSError:
        return float("inf")


def _is_undecided(root: Path) -> bool:
    if not review_directory(root).is_dir():
        return False
    try:
        decided, total = Review(root).progress()
    except ReviewError:
        return True  # a log that cannot be read may hold anything
    return decided < total
