"""What every test stands on: a home of its own, never the user's."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh TIDEGATE_HOME, with a short path: a Unix socket's may have at most 104 bytes on macOS."""
    directory = Path(tempfile.mkdtemp(prefix="tide"))
    monkeypatch.setenv("TIDEGATE_HOME", str(directory))
    monkeypatch.delenv("TIDEGATE_MODEL", raising=False)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)
