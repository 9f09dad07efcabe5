"""Where a server may listen."""

import errno
import socket
from pathlib import Path

import pytest

from mlx_model.server.listening import CannotListen, listen_on_file, listen_on_port


def test_beyond_loopback_only_with_a_key() -> None:
    for host in ("0.0.0.0", "::"):
        with pytest.raises(CannotListen, match="--api-key"), listen_on_port(host, 0, has_key=False):
            pass
    with listen_on_port("0.0.0.0", 0, has_key=True) as listener:
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])).close()
    with listen_on_port("localhost", 0, has_key=False):
        pass


def test_folders_that_others_can_enter(home: Path) -> None:
    folder = home / "open"
    folder.mkdir()
    folder.chmod(0o755)
    # Nothing is in it yet: it can be ours alone.
    with listen_on_file(folder / "engine.sock"):
        assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    (folder / "work.txt").touch()
    with pytest.raises(CannotListen, match="0700"), listen_on_file(folder / "engine.sock"):
        pass
    assert folder.stat().st_mode & 0o777 == 0o755


def test_files_that_are_no_socket_stay(home: Path) -> None:
    (home / "notes").write_text("mine")
    with pytest.raises(CannotListen, match="no socket"), listen_on_file(home / "notes"):
        pass
    assert (home / "notes").read_text() == "mine"
    with pytest.raises(CannotListen, match="too long"), listen_on_file(home / ("n" * 100)):
        pass


def test_what_replaced_our_file_is_not_removed(home: Path) -> None:
    path = home / "run" / "engine.sock"
    with listen_on_file(path) as first:
        first.close()
        with listen_on_file(path) as second:
            assert path.is_socket()
            with socket.socket(socket.AF_UNIX) as client:
                assert client.connect_ex(str(path)) == 0
            assert second.fileno() >= 0
    with socket.socket(socket.AF_UNIX) as client:
        assert client.connect_ex(str(path)) == errno.ENOENT
