"""Durable files: the old or the new one, never a part; and what is called durable is synced."""

import errno
import fcntl
import os
import stat
import sys
from pathlib import Path

import pytest

from app import durable


def test_a_replacement_that_breaks_off_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old")

    def pieces():  # type: ignore[no-untyped-def]
        yield b"n"
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        durable.replace_file(path, pieces())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    durable.replace_file(path, (b"n", b"ew"), 0o640)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_an_append_that_cannot_be_synced_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b"one\n")
    with path.open("r+b", buffering=0) as file:
        durable.append(file.fileno(), b"two\n")

        def refuse(_descriptor: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="Input/output"):
            durable.append(file.fileno(), b"three\n")
    assert path.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("knows", [True, False])
def test_on_macos_the_drive_is_asked_to_write_too(
    knows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def control(_descriptor: int, request: int) -> int:
        done.append(f"fcntl {request}")
        if not knows:
            raise OSError(errno.ENOTSUP, "Operation not supported")
        return 0

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda _descriptor: done.append("fsync"))
    with (tmp_path / "file").open("wb") as file:
        durable.sync(file.fileno())
    assert done == ["fcntl 51"] + ([] if knows else ["fsync"])
