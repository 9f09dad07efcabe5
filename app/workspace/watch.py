"""Noticing what other programs do to the workspace."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING

from app.durable import TEMPORARY_SUFFIX
from app.workspace.errors import WorkspaceError
from app.workspace.ignore import IgnoreRules

if TYPE_CHECKING:
    from watchfiles import Change

GIT_STATE = ".git"
ANYTHING = ""
_GIT_STATE_FILES = ("HEAD", "index", "MERGE_HEAD", "ORIG_HEAD", "REBASE_HEAD", "packed-refs")


def _is_git_state(path: Path, directory: Path) -> bool:
    parts = path.relative_to(directory).parts
    return (
        bool(parts) and not path.name.endswith(".lock") and (parts[0] in _GIT_STATE_FILES or parts[0] == "refs")
    )


async def watch(root: Path, git_directory: Path | None, rules: IgnoreRules) -> AsyncGenerator[frozenset[str]]:
    """Changed paths as they come, relative to `root`, changes close in time together. `GIT_STATE` among them
    means that git's own state changed (head, index, refs), ANYTHING that any path may have. Ignored files are
    passed over. Ends when closed.

    Raises WorkspaceError where the system cannot watch.
    """

    from watchfiles import awatch  # noqa: PLC0415  the first frame does not wait for it

    def matters(_change: "Change", name: str) -> bool:
        path = Path(name)
        if git_directory is not None and path.is_relative_to(git_directory):
            return _is_git_state(path, git_directory)
        if not path.is_relative_to(root) or path == root:
            return False
        relative = path.relative_to(root).as_posix()
        return not (relative.endswith(TEMPORARY_SUFFIX) or rules.is_ignored(relative, is_directory=False))

    is_elsewhere = git_directory is not None and not git_directory.is_relative_to(root)
    places = (root, git_directory) if git_directory is not None and is_elsewhere else (root,)
    while True:
        try:
            async for changes in awatch(
                *places, watch_filter=matters, debounce=400, step=50, ignore_permission_denied=True
            ):
                yield frozenset(
                    GIT_STATE
                    if git_directory is not None and Path(name).is_relative_to(git_directory)
                    else Path(name).relative_to(root).as_posix()
                    for _change, name in changes
                )
            return
        except ExceptionGroup as group:
            # A name that is no UTF-8 ends the watcher, and with it is lost what else it had seen.
            first = group.exceptions[0]
            if "decode path" not in str(first):
                raise WorkspaceError(f"changes by other programs cannot be noticed ({first})") from group
            yield frozenset({ANYTHING, GIT_STATE})
        except (OSError, RuntimeError) as error:
            raise WorkspaceError(f"changes by other programs cannot be noticed ({error})") from error
