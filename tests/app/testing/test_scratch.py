"""A scratch folder goes with the process that holds it, at the latest when another one is wanted."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from app.testing.scratch import remove_abandoned, scratch

PREFIX = "tidegate-of-a-test-"
HOLDS = """
import sys, time
from app.testing.scratch import scratch
with scratch(sys.argv[1]) as place:
    (place / "kept").write_text("something")
    print(place, flush=True)
    time.sleep(600)
"""


def test_only_what_a_killed_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (other := tmp_path / "elsewhere" / "locked").mkdir(parents=True)
    other.chmod(0o500)
    command = [sys.executable, "-c", HOLDS, PREFIX]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        (left / "unwritable" / "in").mkdir(parents=True)
        (left / "unwritable" / "link").symlink_to(other)
        (left / "unwritable").chmod(0o500)
        with scratch(PREFIX) as own:
            (own / "kept").write_text("something")
            remove_abandoned(PREFIX)
            assert own.exists() and (left / "kept").exists()
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            remove_abandoned(PREFIX)
            assert own.exists() and not left.exists()
    assert not own.exists() and other.stat().st_mode & 0o777 == 0o500
