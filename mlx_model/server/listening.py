"""The server's listening socket: a loopback port, or a Unix socket that only the user can open."""

import errno
import fcntl
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mlx_model.errors import EngineError

_LONGEST_SOCKET_PATH = 103
"""Bytes, without the closing NUL: sun_path has 104 on macOS, 108 on Linux."""


class CannotListen(EngineError):
    """The server cannot listen on its address; says why and what to do."""


@contextmanager
def listen_on_port(host: str, port: int, has_key: bool) -> Iterator[socket.socket]:
    """A listening TCP socket; `port` 0 takes a free one. Raises CannotListen, also for an address that other
    machines can reach without `has_key`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"{host} is no address of this machine ({error}).") from error
    family, kind, protocol, _, address = found[0]
    if not has_key and not ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback:
        raise CannotListen(
            f"{host} can be reached from other machines; protect the server with --api-key KEY, "
            "or listen on 127.0.0.1."
        )
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise CannotListen(
                    f"Port {port} on {host} is in use; stop what uses it or choose another --port."
                ) from error
            raise CannotListen(f"Port {port} on {host} cannot be listened on: {error.strerror}.") from error
        yield listener


@contextmanager
def listen_on_file(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket; only the user can open its file and folder. The file is removed at the end.

    A socket file of a dead server is replaced. Raises CannotListen, also where a server answers on it.
    """
    path = path.absolute()
    if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
        raise CannotListen(
            f"{path} is too long for a socket; the path may have {_LONGEST_SOCKET_PATH} bytes at most."
        )
    try:
        folder = _private_folder(path)
    except OSError as error:
        raise CannotListen(f"The folder {path.parent} cannot be used: {error.strerror}.") from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            # Two servers that start at once must not both find the old file dead.
            fcntl.flock(folder, fcntl.LOCK_EX)
            _remove_dead(path)
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen()
        except OSError as error:
            raise CannotListen(f"{path} cannot be listened on: {error.strerror}.") from error
        finally:
            os.close(folder)
        ours = path.stat()
        try:
            yield listener
        finally:
            with suppress(OSError):
                if os.path.samestat(path.stat(), ours):
                    path.unlink()


def _private_folder(path: Path) -> int:
    """The open folder of a socket, made private to the user. Raises CannotListen and OSError."""
    parent = path.parent
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    status = os.fstat(folder)
    others = status.st_uid != os.geteuid()
    if others or status.st_mode & 0o077:
        # An empty folder of the user's is made private; one with other files in it must not be changed.
        if others or any(entry != path for entry in parent.iterdir()):
            os.close(folder)
            raise CannotListen(
                f"{parent} is open to other users; put the socket into a folder of its own with mode 0700."
            )
        os.fchmod(folder, 0o700)
    return folder


def _remove_dead(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"{path} exists and is no socket; choose another path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError:
            pass  # busy, so a server is there
    raise CannotListen(f"A server already listens on {path}; use that one, or stop it first.")
