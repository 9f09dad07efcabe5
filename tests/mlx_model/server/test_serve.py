"""The serve command as a process: where it listens, how it starts and how it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from mlx_model.server.listening import CannotListen, listen_on_file
from tests.support.patience import LONGEST

HI: Any = [{"role": "user", "content": "hi"}]
COMMAND = [sys.executable, "-m", "mlx_model", "serve", "--no-disk-cache"]


@contextmanager
def serving(model: Path, *options: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, "--model", str(model), *map(str, options)], stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    """The address in the log, which is written once the server listens."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"Listening on (\S+)", line):
            return found[1]
    raise AssertionError("the server never listened")


def wait_until_ready(http: httpx2.Client) -> list[dict[str, Any]]:
    """Asks for health until it is well; all answers."""
    answers = []
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        response = http.get("/health")
        answers.append(response.json())
        if response.status_code == 200:
            return answers
    raise AssertionError(answers)


def refused(*options: object) -> str:
    """What a start that must fail says."""
    ended = subprocess.run(
        [*COMMAND, *map(str, options)], capture_output=True, text=True, timeout=LONGEST, check=False
    )
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    said = [line for line in ended.stderr.splitlines() if line.startswith("mlx_model serve: ")]
    assert len(said) == 1, ended.stderr
    assert ended.stderr.strip().endswith(said[0])
    return said[0]


def test_the_official_client_on_a_port(checkpoint: Path) -> None:
    with serving(checkpoint, "--port", 0) as process:
        url = address(process)
        with httpx2.Client(base_url=url) as http:
            answers = wait_until_ready(http)
        assert all(answer["status"] == "loading" and 0 <= answer["progress"] <= 1 for answer in answers[:-1])
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=LONGEST)
        (model,) = client.models.list()
        assert model.id == checkpoint.name
        assert model.model_dump()["details"]["quantization"] == "none"
        ask: Any = {"model": model.id, "messages": HI, "temperature": 0, "max_tokens": 24}
        whole = client.chat.completions.create(**ask)
        assert whole.usage is not None
        assert 0 < whole.usage.completion_tokens <= 24
        chunks = list(client.chat.completions.create(**ask, stream=True))
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        assert "".join(pieces) == whole.choices[0].message.content
        assert sum(map(bool, pieces)) > 1
        sampled = [client.chat.completions.create(**ask | {"temperature": 1, "seed": 4}) for _ in range(2)]
        assert sampled[0].choices[0].message.content == sampled[1].choices[0].message.content
        # The next turn finds what the first one computed.
        reply = {"role": "assistant", "content": whole.choices[0].message.content}
        longer = client.chat.completions.create(**ask | {"messages": [*HI, reply, *HI]})
        assert longer.usage is not None
        assert longer.usage.prompt_tokens_details is not None
        cached = longer.usage.prompt_tokens_details.cached_tokens
        assert cached is not None
        assert cached >= whole.usage.total_tokens - 1
        port = url.rpartition(":")[2]
        assert "in use" in refused("--model", checkpoint, "--port", port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONGEST) == 0


def test_a_private_socket_shared_replaced_and_removed(checkpoint: Path, home: Path) -> None:
    path = home / "run" / "engine.sock"
    with serving(checkpoint, "--socket", path) as process:
        assert address(process) == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        with pytest.raises(CannotListen, match="already listens"), listen_on_file(path):
            pass
        process.kill()
        process.wait()
    assert path.exists()
    # What a dead server leaves is replaced.
    with serving(checkpoint, "--socket", path) as process:
        address(process)
        transport = httpx2.HTTPTransport(uds=str(path))
        with httpx2.Client(transport=transport, base_url="http://engine", timeout=LONGEST) as http:
            wait_until_ready(http)
            body = {"messages": HI, "max_tokens": 4000, "stream": True}
            with http.stream("POST", "/v1/chat/completions", json=body) as response:
                lines = response.iter_lines()
                assert next(lines).startswith("data: ")
                process.send_signal(signal.SIGINT)
                last = [line for line in lines if line.startswith("data: ")][-1]
        if last != "data: [DONE]":  # the model may have ended by itself
            assert "shutting down" in json.loads(last.removeprefix("data: "))["error"]["message"]
        assert process.wait(LONGEST) == 0
    assert not path.exists()


def test_an_idle_server_leaves(checkpoint: Path, home: Path) -> None:
    path = home / "run" / "engine.sock"
    with serving(checkpoint, "--socket", path, "--idle-exit", 0.2) as process:
        assert process.wait(LONGEST) == 0
    assert not path.exists()


def test_bad_models_are_one_sentence(checkpoint: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        return Path(shutil.copytree(checkpoint, tmp_path / name))

    missing = tmp_path / "nothing"
    truncated = broken("truncated")
    (weights,) = truncated.glob("*.safetensors")
    os.truncate(weights, weights.stat().st_size // 2)
    foreign = broken("foreign")
    config = json.loads((foreign / "config.json").read_text())
    (foreign / "config.json").write_text(json.dumps(config | {"model_type": "martian"}))
    untold = broken("untold")
    (untold / "chat_template.jinja").unlink()
    pointer = broken("pointer")
    (weights,) = pointer.glob("*.safetensors")
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n")
    wordless = broken("wordless")
    (wordless / "tokenizer.json").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    )
    packed = broken("packed")
    method = {"quantization_config": {"quant_method": "awq", "bits": 4}}
    (packed / "config.json").write_text(json.dumps(config | method))
    models = {missing: str(missing), truncated: weights.name, foreign: "martian", untold: "chat template"}
    models |= {pointer: "git lfs pull", wordless: "git lfs pull", packed: "packed as AWQ"}
    with ThreadPoolExecutor() as pool:
        said = pool.map(lambda model: refused("--model", model, "--port", 0), models)
        for sentence, named in zip(said, models.values(), strict=True):
            assert named in sentence


def test_a_failed_load_shows_in_health(checkpoint: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(checkpoint, tmp_path / "broken"))
    (broken / "tokenizer.json").write_text("{}")
    with serving(broken, "--port", 0) as process, httpx2.Client(base_url=address(process)) as http:
        answers = []
        while not answers or answers[-1]["status"] == "loading":
            answers.append(http.get("/health").json())
        assert answers[-1]["status"] == "failed"
        assert "tokenizer.json" in answers[-1]["error"]["message"]
        assert process.wait(LONGEST) == 2
