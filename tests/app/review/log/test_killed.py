"""SIGKILL all through a decision: a new process finds the old state or the new one, tree and log agreed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.programs.killed import DECISIONS


@pytest.mark.parametrize(
    "decision",
    [
        "take",  # lines go and others come
        *(pytest.param(name, marks=pytest.mark.slow) for name in DECISIONS if name != "take"),
    ],
)
def test_killed_anywhere_a_decision_is_made_or_it_is_not(decision: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.programs.killed", decision, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    old, new, found = report["old"], report["new"], report["found"]
    assert report["deaths"] > 10
    # What is replaced while it is under review becomes the user's own edit; otherwise nothing does.
    assert (old["users_edits"], new["users_edits"]) == (0, 2 if decision == "replace" else 0)
    assert all(state in (old, new) for state in found), next(
        state for state in found if state not in (old, new)
    )
    assert found[0] == old
    assert found[-1] == new
