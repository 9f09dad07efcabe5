"""What only a Mac can answer: each test here is marked `mac`, and skipped and counted elsewhere."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.agent.awake import awake_command
from app.agent.shell.seatbelt import Seatbelt, seatbelt_works
from app.durable import replace_file
from app.model.catalogue.recipes import machine_memory, usable_memory, wired_limit
from app.ui.clipboard import clipboard_command, copied
from app.workspace.names import folds_case, spelled_on_disk

pytestmark = pytest.mark.mac
PYTHON = "/usr/bin/env python3"
Confined = Callable[..., int]


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Confined:
    """Runs a command in the sandbox, in a repository below the real path of a temporary folder; its status."""
    place = tmp_path.resolve()
    monkeypatch.setenv("HOME", str(place / "home"))
    for directory in ("work/.git/hooks", "work/secrets", "home/.ssh", "scratch"):
        (place / directory).mkdir(parents=True)
    (place / "home" / ".ssh" / "id").write_text("private")
    (place / "work" / "secrets" / "key").write_text("private")

    def run(command: str, *, local_servers: bool = False) -> int:
        line = Seatbelt().wrap(
            ["bash", "-c", command],
            place / "work",
            place / "scratch",
            (),
            [place / "work" / "secrets"],
            local_servers=local_servers,
        )
        return subprocess.run(line, cwd=place / "work", capture_output=True, check=False).returncode

    return run


def test_the_profile_is_taken() -> None:
    assert seatbelt_works()


@pytest.mark.parametrize(
    "command",
    [
        "echo x > made && cat made",
        'echo x > "$TMPDIR/note"',
        "echo x > /dev/null; echo x > /dev/stderr",
        "id; sysctl -n hw.ncpu; git status",
        f"{PYTHON} -c 'import pty; pty.openpty()'",
        f'{PYTHON} -c \'import pty; pty.spawn(["/bin/echo", "x"])\'',
        f"{PYTHON} -c 'from multiprocessing import shared_memory as m; m.SharedMemory(None, True, 8).unlink()'",
        f"{PYTHON} -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"s\")'",
    ],
)
def test_a_confined_command_may(command: str, confined: Confined) -> None:
    assert confined(command) == 0


@pytest.mark.parametrize(
    "command",
    [
        "echo x > ../beside",
        "echo x > /private/tmp/tidegate-was-here",
        "cat ~/.ssh/id",
        "cat secrets/key",
        "mv secrets elsewhere",
        "mv .git elsewhere",
        "mkdir -p .GIT/HOOKS && echo x > .GIT/HOOKS/pre-commit",
        "echo x > .git/config",
        f"{PYTHON} -c 'import socket; socket.create_server((\"127.0.0.1\", 0))'",
        "curl -s -m 5 https://example.com",
    ],
)
def test_a_confined_command_may_not(command: str, confined: Confined) -> None:
    assert confined(command) != 0


def test_local_servers_may_serve_once_they_are_allowed(confined: Confined) -> None:
    serve = 'import socket as s; a = s.create_server(("127.0.0.1", 0)); s.create_connection(a.getsockname())'
    assert confined(f"{PYTHON} -c '{serve}'", local_servers=True) == 0


def test_the_disk_tells_a_files_own_name(tmp_path: Path) -> None:
    place = tmp_path.resolve()
    (place / "Notes.TXT").touch()
    asked = place / "notes.txt"
    assert spelled_on_disk(asked) == (place / "Notes.TXT" if folds_case(place) else asked)


def test_what_is_copied_can_be_pasted() -> None:
    command = clipboard_command({})
    assert command == ("pbcopy",) and copied("tide ≈ gate", command)
    assert subprocess.run(["pbpaste"], capture_output=True, check=True).stdout.decode() == "tide ≈ gate"


def test_what_keeps_it_awake_is_there() -> None:
    assert Path(awake_command(sys.platform, 1)[0]).exists()


def test_the_gpus_limit_is_read() -> None:
    memory = machine_memory()
    assert 0 <= wired_limit() <= memory and 0 < usable_memory(memory, "mac", wired_limit()) < memory


def test_a_finder_tag_outlives_an_edit(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one\n")
    tag = ["xattr", "-w", "com.apple.metadata:_kMDItemUserTags", "x", str(file)]
    subprocess.run(tag, check=True)
    replace_file(file, (b"two\n",), 0o644, keeps=True)
    listed = subprocess.run(["xattr", str(file)], capture_output=True, check=True).stdout
    assert file.read_text() == "two\n" and b"_kMDItemUserTags" in listed
