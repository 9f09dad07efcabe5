"""Published coding agents against the engine: each has a file read and hears what is in it. npm installs them,
for which this needs the network; TIDEGATE_AGENTS may name a folder in which they are."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engine.scripted_generator import scripted_engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PACKAGES = ("@openai/codex", "@anthropic-ai/claude-code", "@qwen-code/qwen-code", "opencode-ai")


@dataclass(frozen=True)
class Agent:
    """How an agent is asked without a screen, and its call that shows a file: tool, parameter, value."""

    command: tuple[str, ...]
    call: tuple[str, str, str]
    names_the_session: bool = False
    """Whether it has the model write a title as well, before or after its first step."""


AGENTS = {
    "codex": Agent(
        ("codex", "exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "Read a.py"),
        ("exec_command", "cmd", "cat a.py"),
    ),
    "claude": Agent(
        ("claude", "-p", "Read a.py", "--permission-mode", "bypassPermissions"),
        ("Read", "file_path", "{work}/a.py"),
    ),
    "qwen": Agent(
        ("qwen", "--auth-type", "openai", "--yolo", "-p", "Read a.py"),
        ("read_file", "file_path", "{work}/a.py"),
    ),
    "opencode": Agent(("opencode", "run", "--auto", "Read a.py"), ("read", "filePath", "{work}/a.py"), True),
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the agents' commands."""
    given = os.environ.get("TIDEGATE_AGENTS")
    if given:
        return Path(given) / "node_modules" / ".bin"
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm to install them with")
    folder = tmp_path_factory.mktemp("agents")
    installed = subprocess.run(
        [npm, "install", "--no-audit", "--no-fund", *PACKAGES],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode:
        pytest.skip(f"the agents cannot be installed: {installed.stderr[-300:]}")
    return folder / "node_modules" / ".bin"


def settings_in(home: Path, work: Path, url: str) -> dict[str, str]:
    """The environment and the files that lead the agents to the engine."""
    (home / "config.toml").write_text(
        f'model = "local"\nmodel_provider = "tidegate"\n[model_providers.tidegate]\nname = "Tidegate"\n'
        f'base_url = "{url}/v1"\nwire_api = "responses"\n'
    )
    options = {"baseURL": f"{url}/v1", "apiKey": "none"}
    provider = {"npm": "@ai-sdk/openai-compatible", "options": options, "models": {"local": {"name": "local"}}}
    chosen = {"model": "tidegate/local", "small_model": "tidegate/local"}

    (work / "opencode.json").write_text(json.dumps({"provider": {"tidegate": provider}, **chosen}))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("CLAUDE", "ANTHROPIC"))}
    return {
        **ours,
        **dict.fromkeys(("HOME", "CODEX_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(home)),
        **{"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "none", "ANTHROPIC_MODEL": "local"},
        **{"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "none", "OPENAI_MODEL": "local"},
        # As root it works without questions only where it is told that this is a sandbox.
        **{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "IS_SANDBOX": "1"},
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
    }


@pytest.mark.parametrize("name", AGENTS)
def test_a_published_coding_agent(name: str, programs: Path, checkpoint: Path, tmp_path: Path) -> None:
    agent = AGENTS[name]
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (work / "a.py").write_text("answer = 41 + 1\n")
    tool, parameter, value = agent.call
    value = value.format(work=work)
    written = f"<parameter={parameter}>\n{value}\n</parameter>"
    call = f"<tool_call>\n<function={tool}>\n{written}\n</function>\n</tool_call>"
    # As a title a call is as good as any text.
    replies = [*([call] if agent.names_the_session else []), call, "It is forty-two."]
    with scripted_engine(checkpoint, *replies, context_length=200_000) as engine:
        ended = subprocess.run(
            [programs / agent.command[0], *agent.command[1:]],
            cwd=work,
            env=settings_in(home, work, engine.url.removesuffix("/v1")),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        assert "It is forty-two." in ended.stdout
        tokenizer = engine.generator.encoder.tokenizer
        last = b"".join(map(tokenizer.bytes_of, engine.generator.requests[-1].prompt))
        assert last.count(b"answer = 41 + 1") == 1 and len(engine.generator.requests) == len(replies)
