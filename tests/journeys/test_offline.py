"""Nothing goes over the network: not by itself, and where the user rules it out not even when asked."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fake_hub import FakeHub
from tests.support.scripted_server import ScriptedServer, reply

TIDEGATE = Path(sys.executable).with_name("tidegate")


@pytest.mark.parametrize("said_by", ["settings", "TIDEGATE_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_refuses_what_the_user_asks_for_with_one_sentence(
    said_by: str, tmp_path: Path, home: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub")}
    if said_by == "settings":
        (home / "config").mkdir()
        (home / "config" / "settings.toml").write_text("offline = true\n")
    else:
        environment[said_by] = "1"
    server = scripted_server(reply("Hello"))
    with FakeHub("somebody/tiny", {"config.json": b"{}"}) as hub:
        environment["HF_ENDPOINT"] = hub.url
        for command in (
            ["run", "Hello", "--model", server.url],
            ["warm", "--model", server.url],
            ["model", "fetch", "somebody/tiny"],
        ):
            ended = subprocess.run(
                [TIDEGATE, *command],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            assert ended.returncode == 2, ended.stderr
            (sentence,) = (line for line in ended.stderr.splitlines() if "offline" in line)
            assert sentence.startswith("tidegate: ") and "needs the network" in sentence
    assert not server.headers and not server.health_polls
