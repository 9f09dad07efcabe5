"""Published clients against the engine: each connects, streams, and has a tool called. They are installed into
an environment of their own, for which this needs the network; TIDEGATE_CLIENTS may name one that is there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from tests.support.engine.scripted_generator import scripted_engine
from tests.support.weights.small_tokenizer import VOCABULARY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

PACKAGES = ("openai-agents", "pydantic-ai-slim[openai,anthropic]", "litellm", "llm", "mini-swe-agent")
PROGRAM = Path(__file__).parents[3] / "support" / "programs" / "clients.py"


def call(name: str, /, **arguments: object) -> str:
    written = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{written}</function>\n</tool_call>"


READ = call("read_file", file_path="a.py")
CITY = {"name": "Ghent", "people": 270_000}
TURN = [READ, "Done."]
CONVERSATIONS: dict[str, tuple[list[str], Any]] = {
    "agents": (TURN * 4, ["Done.", "Done.", True] * 2),
    "pydantic_ai": (
        [call("final_result", **CITY), json.dumps(CITY), *TURN, *TURN],
        [CITY, CITY, "Done.", "Done."],
    ),
    "litellm": ([READ, "Hello there"] * 2, [["read_file", {"file_path": "a.py"}], "Hello there"] * 2),
    "llm": (
        [json.dumps(CITY), "Hello there", "Hello there"],
        [json.dumps(CITY) + "\n", "Hello there\n", "Hello there\n"],
    ),
    "mini": (
        [
            "I make it.\n\n" + call("bash", command="echo made > made.txt"),
            "I am done.\n\n" + call("bash", command="echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"),
        ],
        "made\n",
    ),
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the clients."""
    given = os.environ.get("TIDEGATE_CLIENTS")
    if given:
        return Path(given) / "bin" / "python"
    folder = tmp_path_factory.mktemp("clients")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installed = subprocess.run(
        [folder / "bin" / "pip", "install", "-q", *PACKAGES], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"the clients cannot be installed: {installed.stderr[-300:]}")
    return folder / "bin" / "python"


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_published_client(name: str, python: Path, checkpoint: Path, tmp_path: Path) -> None:
    replies, expected = CONVERSATIONS[name]
    grammar = ToolGrammar(PromptEncoder.from_directory(checkpoint).tokenizer, VOCABULARY)
    with scripted_engine(checkpoint, *replies, grammar=grammar, context_length=50_000) as engine:
        environment = {
            **os.environ,
            **{"HOME": str(tmp_path), "LLM_USER_PATH": str(tmp_path), "TRAJECTORY": str(tmp_path / "t.json")},
            **{"MSWEA_GLOBAL_CONFIG_DIR": str(tmp_path), "MSWEA_CONFIGURED": "true"},
            "MSWEA_COST_TRACKING": "ignore_errors",
        }
        ended = subprocess.run(
            [python, PROGRAM, name, engine.url],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )
        assert ended.returncode == 0, ended.stderr[-4000:]
        assert json.loads(ended.stdout.splitlines()[-1]) == expected
        assert len(engine.generator.requests) == len(replies)
