"""The engine and memory: what is not loaded, what a reply comes to that finds none, experts over the wire."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mlx_model.__main__ import main
from mlx_model.commands.shared import memory_check as fitting
from mlx_model.decode.request import GenerationFinished, GenerationRequest, PromptProcessed
from mlx_model.engine.expert_use import read_expert_use
from mlx_model.engine.upkeep import Upkeep
from mlx_model.memory.machine import GIB, Machine, Pressure
from mlx_model.memory.relief import Relief
from mlx_model.server.http import create_app
from mlx_model.server.scheduler import Scheduler, ServedModel
from mlx_model.state.disk.folder import EXPERT_USE
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.engine.one_at_a_time import OneAtATime
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.ui.screen import Stage
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.servable import make_endless, servable_checkpoint

SIZES = {"num_experts": 24, "num_experts_per_tok": 3}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    make_endless(servable_checkpoint(root / "plain", **SIZES))
    convert(root / "plain", root / "packed", Recipe.Q4)
    return root / "packed"


def machine(monkeypatch: pytest.MonkeyPatch, usable: int, pressure: Pressure = Pressure.NORMAL) -> None:
    monkeypatch.setattr(fitting, "this_machine", lambda: Machine(usable, usable, "linux", pressure))


@pytest.mark.parametrize(
    "command",
    [
        ("generate", "--tokens", "1,2", "--max-tokens", "2"),
        ("score", "--tokens", "1,2,3"),
        ("bench", "kv", "--tokens", "1,2,3,4"),
    ],
    ids=lambda command: command[0],
)
def test_what_does_not_fit_is_refused_before_a_byte_is_loaded(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    machine(monkeypatch, GIB + 400_000)
    with monkeypatch.context() as untouched:
        untouched.setattr(
            "mlx_model.commands.shared.options.load", lambda *_, **__: pytest.fail("it was loaded")
        )
        assert main([*command, "--model", str(packed)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(r"does not fit: it needs [\d.]+ GB .* it would fit .* with 16 GB.* \(--force", said)
    assert main([*command, "--model", str(packed), "--force"]) == 0


def test_as_many_experts_stay_as_fit(
    packed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody asked for experts on disk; the tokens are the same."""

    def generated() -> dict[str, Any]:
        asked = ["--tokens", "1,2,3,4,5,6,7,8", "--max-tokens", "12", "--temperature", "0", "--json"]
        assert main(["generate", "--model", str(packed), *asked]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    machine(monkeypatch, 4 * GIB)
    full = generated()
    assert "expert_n" not in full["timings"]
    machine(monkeypatch, GIB + 1_500_000)
    some = generated()
    assert some["tokens"] == full["tokens"]
    timings = some["timings"]
    assert 0 < timings["expert_read_n"] <= timings["expert_n"]
    assert timings["expert_read_bytes"] > 0 and 0 <= timings["expert_hit_rate"] < 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--expert-slots", "2"), "each token goes to 3 experts"),
        (("--expert-slots", "0"), "no number above 0"),
    ],
)
def test_too_few_slots_are_refused(
    packed: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    try:
        status = main(["generate", "--model", str(packed), "--tokens", "1", *options])
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    assert says in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold a process to RLIMIT_AS")
@pytest.mark.parametrize(
    ("growth", "prompt", "foreseen", "says"),
    [
        (300_000_000, 6_000, "unforeseen", "not enough memory to go on with this reply"),
        (300_000_000, 50_000, "forecast", "50,000 tokens of prompt take"),
    ],
)
def test_a_request_without_memory_fails_and_the_next_succeeds(
    tmp_path: Path, growth: int, prompt: int, foreseen: str, says: str
) -> None:
    model = write_checkpoint(tmp_path / "model", max_position_embeddings=100_000)
    command = ["-m", "tests.support.programs.short_of_memory", str(model), str(growth), str(prompt), foreseen]
    ended = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=ROOT, timeout=LONGEST, check=False
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert says in said["failure"]
    assert len(said["before"]) == 5 and said["after"] == said["before"]


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """An empty control group for memory."""
    roots = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
    for root in roots:
        group = root / f"tidegate-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        if any((group / name).exists() for name in ("memory.max", "memory.limit_in_bytes")):
            break
        group.rmdir()
    else:
        pytest.skip("no control group for memory can be made here")
    yield group
    group.rmdir()


def test_a_request_too_large_for_its_control_group_fails_and_the_next_succeeds(
    tmp_path: Path, memory_group: Path
) -> None:
    """The kernel would end the process; so it is not asked."""
    model = write_checkpoint(tmp_path / "model", max_position_embeddings=100_000)
    command = ["-m", "tests.support.programs.short_of_memory", str(model), "300000000", "50000", "forecast"]
    ended = subprocess.run(
        [sys.executable, *command, str(memory_group)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LONGEST,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout)
    assert "50,000 tokens of prompt take" in said["failure"]
    assert len(said["before"]) == 5 and said["after"] == said["before"]


def test_a_server_with_experts_on_disk(packed: Path, home: Path) -> None:
    """Over the wire: what is told of it, what a disk that fails comes to, and what is known of the experts at
    the next start, even if this one is killed."""
    socket, model_directory = home / "s", home / "model"
    shutil.copytree(packed, model_directory)
    weights = model_directory / "model.safetensors"
    whole = weights.read_bytes()
    options = ["--expert-slots", "8", "--context", "1000", "--keep-alive", "0.05"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlx_model", "serve", "--model", model_directory, "--socket", socket, *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stderr is not None
        assert any("Ready" in line for line in process.stderr)
        with httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(socket)), base_url="http://localhost"
        ) as http:
            health = http.get("/health").json()
            memory = {"pressure": "normal", "given_back": {}, "expert_slots": 8}
            assert health == {"status": "ok", "memory": memory}
            (model,) = http.get("/v1/models").json()["data"]
            assert model["context_length"] == 1000
            assert model["details"]["experts"] == "8 of each layer in memory"
            asked = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 8}
            reply = http.post("/v1/chat/completions", json=asked, timeout=LONGEST).json()
            assert 0 < reply["timings"]["expert_hit_rate"] < 1
            asked = {"messages": [{"role": "user", "content": "Count to ten. " * 20}], "max_tokens": 8}
            os.truncate(weights, 4096)
            lost = http.post("/v1/chat/completions", json=asked, timeout=LONGEST)
            assert lost.status_code == 500
            error = lost.json()["error"]
            assert error["type"] == "server_error" and error["code"] == "expert_unreadable"
            assert re.fullmatch(
                r"The reply cannot go on: the weights of expert \d+ \(model\.layers\.\d\.mlp\) cannot be read "
                r"from .*model\.safetensors: it ends \d+ bytes too early\.",
                error["message"],
            )
            streamed = http.post("/v1/chat/completions", json=asked | {"stream": True}, timeout=LONGEST).text
            assert '"code":"expert_unreadable"' in streamed and "Traceback" not in streamed
            with weights.open("r+b") as file:
                file.write(whole)
            found = http.post("/v1/chat/completions", json=asked, timeout=LONGEST)
            assert found.status_code == 200 and found.json()["usage"]["completion_tokens"] == 8
        soon = time.monotonic() + LONGEST
        while not list(home.rglob(EXPERT_USE)):
            assert time.monotonic() < soon, "nothing was written down"
            time.sleep(0.05)
    finally:
        process.kill()
        process.communicate(timeout=LONGEST)
    (record,) = home.rglob(EXPERT_USE)
    use = read_expert_use(record)
    assert len(use) == 4 and all(frequencies.max() > 0 for frequencies in use.values())


class Answering(OneAtATime):
    """A GeneratorPort that answers at once."""

    def answer(self, request: Any, _cancelled: Any) -> Any:
        yield PromptProcessed(1, 0, 1, 0.0)
        yield GenerationFinished(0, len(request.prompt), 0.0, 0, 0.0, reason="stop")


def test_weights_are_kept_at_hand_while_somebody_may_be_typing() -> None:
    touched: list[float] = []
    enough = threading.Event()

    def touch() -> None:
        touched.append(1)
        if len(touched) == 3:
            enough.set()

    upkeep = Upkeep(Relief([]), 0.01, touch)
    encoder: Any = None
    scheduler = Scheduler(lambda _: ServedModel("model", Answering(), encoder, rest=upkeep.rest))
    scheduler.start(lambda: None)
    assert enough.wait(LONGEST), "nobody kept the weights at hand"
    scheduler.stop()
    scheduler.join(LONGEST)
    touched.clear()
    assert upkeep.rest(179) == 0.01 and touched == [1]
    assert upkeep.rest(181) == 5 and touched == [1], "nobody is there any more"
    assert Upkeep(Relief([]), 0, touch).rest(0) == 5 and touched == [1]


async def test_an_upkeep_that_fails_ends_no_engine() -> None:
    def rest(_: float) -> float:
        raise OSError("no such control group")

    encoder: Any = None
    scheduler = Scheduler(lambda _: ServedModel("model", Answering(), encoder, rest=rest))
    scheduler.start(lambda: None)
    request = GenerationRequest((1,), 1, frozenset())
    for _ in range(2):
        async with asyncio.timeout(LONGEST):
            events = [event async for event in scheduler.events(request, threading.Event())]
        assert isinstance(events[-1], GenerationFinished)
    scheduler.stop()
    scheduler.join(LONGEST)


async def test_typing_keeps_the_weights_at_hand(tmp_path: Path) -> None:
    """From a key in the workspace over the wire to the engine, which begins to count anew."""
    idle: list[float] = []

    def rest(seconds: float) -> float:
        idle.append(seconds)
        return 0.01

    encoder: Any = None
    scheduler = Scheduler(lambda _: ServedModel("model", Answering(), encoder, rest=rest))
    scheduler.start(lambda: None)
    stage = Stage(tmp_path)
    async with (
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(create_app(scheduler)), base_url="http://localhost"
        ) as http,
        stage.run(),
    ):
        await http.get("/health")
        await stage.until(lambda: idle and idle[-1] > 1)
        assert idle == sorted(idle), "looking at it is no sign of life"
        assert stage.engine.attended == 0
        await stage.press("x")
        assert stage.engine.attended == 1
        await http.get("/health?attended=1")
        await stage.until(lambda: idle != sorted(idle))
    scheduler.stop()
    scheduler.join(LONGEST)


def test_tidegate_model_fit_asks_the_engine(packed: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "model", "fit", "--model", str(packed), "--memory", "16GB", "--json"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LONGEST,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["fits"] is True
