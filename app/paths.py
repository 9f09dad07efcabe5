"""Where Tidegate keeps its own files, by the platform's conventions.

`TIDEGATE_HOME` moves everything below one directory: for tests, and for a user who wants it elsewhere.
"""

import os
import sys
import warnings
from pathlib import Path

import platformdirs

_NAME = "tidegate"


def expanded(path: str) -> Path:
    """`path` with a ~ or ~user in front of it replaced; a user that there is not stays as written, as in a
    shell."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  the Path's own raises RuntimeError


def _home() -> Path | None:
    value = os.environ.get("TIDEGATE_HOME")
    return expanded(value).absolute() if value else None


def child_environment() -> dict[str, str]:
    """The environment for processes of ours that run in another directory: they keep house where we do."""
    home = _home()
    return {**os.environ, **({"TIDEGATE_HOME": str(home)} if home else {})}


def config_directory() -> Path:
    """Settings and keymap, written by the user."""
    home = _home()
    return home / "config" if home else Path(platformdirs.user_config_dir(_NAME, appauthor=False))


def data_directory() -> Path:
    """Sessions, change logs and pre-images: what must not be lost."""
    home = _home()
    return home / "data" if home else Path(platformdirs.user_data_dir(_NAME, appauthor=False))


def cache_directory() -> Path:
    """What can be made again."""
    home = _home()
    return home / "cache" if home else Path(platformdirs.user_cache_dir(_NAME, appauthor=False))


def models_directory() -> Path:
    """Converted and downloaded checkpoints, one directory each."""
    return data_directory() / "models"


def adapters_directory() -> Path:
    """Where our engine looks for adapters, one directory each."""
    return data_directory() / "adapters"


def log_directory() -> Path:
    """The engine's and the application's logs."""
    home = _home()
    return home / "log" if home else Path(platformdirs.user_log_dir(_NAME, appauthor=False))


def runtime_directory() -> Path:
    """Sockets and locks. Short, because a Unix socket's path may have at most 104 bytes on macOS, whose own
    place for such files is one that it empties."""
    home = _home()
    if home or sys.platform == "darwin":
        return (home or data_directory()) / "run"
    with warnings.catch_warnings():
        # Where a machine has no place for sockets, platformdirs takes a temporary one, with a warning.
        warnings.simplefilter("ignore")
        return Path(platformdirs.user_runtime_dir(_NAME, appauthor=False))
