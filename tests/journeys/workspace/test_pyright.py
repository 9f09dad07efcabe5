"""A type error seen in the workspace: pyright as PyPI has it, in the gutter, the status line and the list.

It is installed for this into the project's own environment, which needs the network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
CODE = "def double(number: int) -> int:\n    return 2 * number\n\n\ndouble('two')\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    if shutil.which("node") is None:
        pytest.skip("pyright runs in node, which is not installed here")
    (root := tmp_path / "project").mkdir()
    subprocess.run([sys.executable, "-m", "venv", root / ".venv"], check=True)
    pip = [root / ".venv" / "bin" / "pip", "install", "-q", "pyright"]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"pyright cannot be installed: {installed.stderr[-300:]}")
    (root / "twice.py").write_text(CODE)
    return root


@pytest.mark.slow
def test_a_type_error_is_marked_counted_and_listed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where there is no sandbox, a project's own servers are not run, and this is the user's.
    monkeypatch.setenv("PATH", f"{project / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with Terminal([TIDEGATE, "twice.py", "--model", "http://127.0.0.1:9/v1"], project) as terminal:
        terminal.wait_for(lambda text: "✗ 1" in text.splitlines()[-2])
        (line,) = (line for line in terminal.text.splitlines() if "double('two')" in line)
        assert "✗" in line
        terminal.press("!")
        # In the list, with its line and in pyright's own words.
        terminal.wait_for(lambda text: "twice.py:5" in text and "cannot be assigned to parameter" in text)
        assert terminal.leave() == 0
