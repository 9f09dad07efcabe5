"""Writing a file of the workspace: permissions, owner, attributes, hard and symbolic links stay as they are."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

from app import durable
from app.workspace.errors import WriteRefused


def write_bytes(path: Path, data: bytes, check: Callable[[], None] | None = None) -> None:
    """Make `data` the content of the file at `path`, atomically and durably; missing directories are made.

    The mode, owner and attributes of a file that is there are kept; one with several names keeps them too, and
    is then written in place instead of atomically. A symbolic link is followed: resolve and check `path`
    before. `check` is called at the last moment; what it raises leaves the file as it was. Raises WriteRefused.
    """
    try:
        target = Path(os.path.realpath(path))
        mode = None
        if target.exists():
            found = target.stat()
            if not stat.S_ISREG(found.st_mode):
                raise WriteRefused(f"{path.name} is not a regular file")
            if not os.access(target, os.W_OK):
                raise WriteRefused(f"{path.name} is write-protected")
            mode = stat.S_IMODE(found.st_mode)
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode is None:
            durable.replace_file(target, (data,), durable.new_file_mode(), check=check)
        elif durable.is_linked(target):
            if check is not None:
                check()
            durable.overwrite(target, data, mode)
        else:
            durable.replace_file(target, (data,), mode, keeps=True, check=check)
    except OSError as error:
        raise WriteRefused(f"{path.name} cannot be written ({error.strerror})") from error
    except ValueError as error:
        raise WriteRefused(f"{str(path)!r} is not a path") from error
