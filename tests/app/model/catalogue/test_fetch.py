"""Fetching a checkpoint from a local stand-in for the Hub."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from app.model.catalogue.catalogue import LocalModel, choose_model, directory_for
from app.model.catalogue.fetch import FetchProgress, fetch_model
from app.model.errors import DownloadFailed, NoModel
from tests.support.agent.fake_hub import FakeHub
from tests.support.agent.scripted_server import until

NAME = "somebody/tiny"
WEIGHTS = random.Random(7).randbytes(60_000)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    files = {
        "config.json": json.dumps({"model_type": "qwen3_next"}).encode(),
        "model.safetensors": WEIGHTS,
        "README.md": b"not wanted",
        "original/pytorch_model.bin": b"nor this",
    }
    with FakeHub(NAME, files) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
        for variable in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(variable, raising=False)
        yield hub


async def fetch() -> tuple[Path, list[FetchProgress]]:
    progress: list[FetchProgress] = []
    async with aclosing(fetch_model(NAME)) as steps:
        async for step in steps:
            if isinstance(step, Path):
                return step, progress
            progress.append(step)
    raise AssertionError("no directory came")


async def test_a_fetched_model_is_complete_and_found_by_its_name(hub: FakeHub):
    path, progress = await fetch()
    assert {file.name: file.read_bytes() for file in path.iterdir()} == {
        "config.json": hub.files["config.json"],
        "model.safetensors": WEIGHTS,
    }
    total = len(WEIGHTS) + len(hub.files["config.json"])
    assert progress[0] == FetchProgress(0, total) and progress[-1] == FetchProgress(total, total)
    assert choose_model(NAME) == LocalModel(NAME, path)
    assert choose_model("") == LocalModel(NAME, path)


async def test_what_is_here_already_is_not_fetched_again(hub: FakeHub, tmp_path: Path):
    snapshot = tmp_path / "hf" / "hub" / "models--somebody--tiny" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_bytes(hub.files["config.json"])
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    hub.status = 500  # the Hub is not even asked, once the weights are there
    with pytest.raises(DownloadFailed):
        await fetch()
    (snapshot / "model.safetensors").write_bytes(WEIGHTS)
    assert await fetch() == (snapshot, [])


async def test_a_cancelled_download_goes_on_where_it_stopped(hub: FakeHub):
    hub.hold_after = 32_768
    fetching = asyncio.create_task(fetch())
    part = directory_for(NAME).with_name("somebody--tiny.partial") / "model.safetensors.part"
    await until(hub.holding.is_set)
    # What lies on the disk is what counts; the rest of a chunk under way is lost with the process.
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    check_that_it_is_no_model_yet()
    part.write_bytes(WEIGHTS[:20_000])
    hub.hold_after = None
    hub.release.set()
    path, progress = await fetch()
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.ranges == ["bytes=20000-"]
    assert progress[0].done >= 20_000
    assert not part.parent.exists()


def check_that_it_is_no_model_yet() -> None:
    with pytest.raises(NoModel, match=f"tidegate model fetch {NAME}"):
        choose_model(NAME)


async def test_a_broken_connection_is_mended_within_the_download(hub: FakeHub):
    hub.break_after = 16_384
    path, _ = await fetch()
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.break_after is None


async def test_damage_is_noticed_and_never_becomes_a_model(hub: FakeHub):
    hub.damaged.add("model.safetensors")
    with pytest.raises(DownloadFailed, match="damaged"):
        await fetch()
    check_that_it_is_no_model_yet()
    hub.damaged.clear()
    path, _ = await fetch()
    assert (path / "model.safetensors").read_bytes() == WEIGHTS


async def test_room_is_looked_for_before_a_byte_is_fetched(hub: FakeHub):
    hub.claimed["model.safetensors"] = 10**15
    with pytest.raises(DownloadFailed, match=r"needs 1000001\.0 GB more.* free"):
        await fetch()
    assert hub.served == 0


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (404, "RepoNotFound", "no public model somebody/tiny"),
        (401, "RepoNotFound", "no public model somebody/tiny"),
        (401, "", "HTTP 401: run: hf auth login"),
        (403, "GatedRepo", "terms accepted"),
        (500, "", "HTTP 500"),
    ],
)
async def test_what_the_hub_refuses_is_one_sentence(hub: FakeHub, status: int, code: str, says: str):
    hub.status, hub.error_code = status, code
    with pytest.raises(DownloadFailed, match=says) as raised:
        await fetch()
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("hub")
async def test_no_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        await fetch()
