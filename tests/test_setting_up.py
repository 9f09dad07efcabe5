"""`make` finds a Python that fits, has uv bring one, or says in one sentence how to get it: with stand-ins for
the system's programs, on Linux and as on a Mac."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.places import ROOT

MAKE = shutil.which("make")
pytestmark = pytest.mark.skipif(MAKE is None, reason="make is not here")
# Says whether its version fits and for which processor it was built, and makes environments.
PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) exit {misfit} ;;
  *machine*) echo {processor} ;;
  "-m venv"*) mkdir -p "$3/bin" && : > "$3/bin/python" && chmod +x "$3/bin/python" && echo made ;;
esac
"""
UV = """#!/bin/sh
echo uv "$@"
mkdir -p .venv/bin && : > .venv/bin/python && chmod +x .venv/bin/python
"""
FITS = PYTHON.format(misfit=0, processor="arm64")


def made(place: Path, system: str, programs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Make the environment where only these programs are found."""
    assert MAKE is not None
    tools = place / "tools"
    tools.mkdir()
    for name in ("mkdir", "chmod", "rm"):
        (tools / name).symlink_to(shutil.which(name) or "")
    scripts = {"uname": f"echo {system}\n", "sysctl": f"echo {int(system == 'Darwin')}\n", **programs}
    for name, text in scripts.items():
        (tools / name).write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}")
        (tools / name).chmod(0o755)
    shutil.copy(ROOT / "Makefile", place)
    return subprocess.run(
        [MAKE, "--silent", ".venv/bin/python"],
        cwd=place,
        env={"PATH": str(tools), "HOME": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("system", "programs", "status", "says"),
    [
        ("Darwin", {"python3.14": FITS}, 0, "made"),
        ("Linux", {"python3.11": FITS}, 0, "made"),
        ("Linux", {"python3": PYTHON.format(misfit=1, processor="x86_64"), "python": FITS}, 0, "made"),
        ("Darwin", {"uv": UV}, 0, "uv venv --quiet --seed --python 3.13 .venv"),
        ("Darwin", {"python3": PYTHON.format(misfit=1, processor="arm64")}, 2, "brew install python@3.13"),
        ("Linux", {}, 2, "apt install python3 python3-venv"),
        ("Darwin", {"python3": PYTHON.format(misfit=0, processor="x86_64")}, 2, "under Rosetta"),
        ("Linux", {"python3": FITS.replace("mkdir -p", "false")}, 2, "venv module is missing"),
    ],
    ids=["3.14", "3.11", "a fitting one among two", "uv", "old on a Mac", "none on Linux", "Intel", "no venv"],
)
def test_a_python_is_found_or_said_how_to_get(
    system: str, programs: dict[str, str], status: int, says: str, tmp_path: Path
) -> None:
    ended = made(tmp_path, system, programs)
    said = ended.stdout + ended.stderr
    assert (ended.returncode, says in said) == (status, True), said
    # Beside make's own line about the target.
    assert status == 0 or len([line for line in said.splitlines() if not line.startswith("make")]) == 1
