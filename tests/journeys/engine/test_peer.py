"""A published agent that nobody here wrote does a task on our engine: its loop and client, our server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import CACHE
from tests.support.weights.one_call import one_call_checkpoint

_PEER = ("mini-swe-agent==2.4.6", "mcp")  # the client library that it uses imports the second unasked
_CACHE = CACHE / "mini-swe-agent-2.4.6"
# What it does at each step: mend the file, and say that all is done once the file is as wanted.
_STEP = (
    "if grep -q 'a + b' calc.py; then echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT; "
    "else sed -i.old 's/a - b/a + b/' calc.py; fi"
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="session")
def mini() -> Path:
    """The peer's program, in an environment of its own."""
    program = _CACHE / "bin" / "mini"
    if not program.exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(_CACHE)],
            [str(_CACHE / "bin" / "python"), "-m", "pip", "install", "--quiet", *_PEER],
        ):
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"NOT SHOWN: {_PEER[0]} cannot be installed here: {made.stderr[-300:]}")
    return program


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Our engine, serving a model that takes that step whatever it is asked."""
    checkpoint = one_call_checkpoint(
        tmp_path / "stepper", "bash", "command", _STEP, max_position_embeddings=16384
    )
    command = [sys.executable, "-P", "-m", "mlx_model", "serve", "--model", checkpoint, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = next(filter(None, (re.search(r"http://[\w.:]+", line) for line in process.stderr)))
            yield found[0]
        finally:
            process.terminate()


def test_mini_swe_agent_completes_a_task_on_our_engine(tmp_path: Path, mini: Path, server: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    told = tmp_path / "told.json"
    options = [
        *(
            "-y",
            "--exit-immediately",
            "-m",
            "openai/stepper",
            "-t",
            "Mend add().",
            "-o",
            told,
            "-c",
            "mini.yaml",
        ),
        *("-c", f"model.model_kwargs.api_base={server}/v1", "-c", "agent.step_limit=5"),
    ]
    environment = {
        **os.environ,
        "OPENAI_API_KEY": "none",
        "MSWEA_CONFIGURED": "true",
        "MSWEA_COST_TRACKING": "ignore_errors",
        "MSWEA_GLOBAL_CONFIG_DIR": str(tmp_path / "peer"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    ended = subprocess.run(
        [mini, *options], cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=570
    )
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    assert (project / "calc.py").read_text() == "def add(a, b):\n    return a + b\n"
    record = json.loads(told.read_text())
    assert record["info"]["exit_status"] == "Submitted"
    calls = [call["function"] for message in record["messages"] for call in message.get("tool_calls") or ()]
    assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
        ("bash", {"command": _STEP})
    ] * 2
