"""The cache as its user sees it: listed, verified, cleared; and found only by the model it belongs to."""

import json
import os
import shutil
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from mlx_model.engine.kept import CacheSettings, default_cache_folder, open_cache
from mlx_model.state.disk.fingerprint import model_fingerprint
from mlx_model.state.disk.tier import DiskLimits
from tests.support.engine.token_states import TokenSource
from tests.support.weights.checkpoints import write_checkpoint

SETTINGS = {"dtype": "float32"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("model"))


def test_list_verify_clear(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*arguments: str) -> tuple[int, dict[str, object]]:
        status = main(["cache", *arguments, "--json"])
        return status, json.loads(capsys.readouterr().out)

    cache = open_cache(CacheSettings(limits=DiskLimits(reserve=0)), checkpoint, "float32")
    for size in (2, 5):
        cache.store.store(tuple(range(size)), TokenSource(tuple(range(size))))
    cache.close()
    status, listed = command("list")
    (entry,) = listed["listed"]  # type: ignore[misc]
    assert status == 0
    assert (entry["snapshots"], entry["longest"], entry["model"]) == (2, 5, str(checkpoint))
    assert command("verify") == (0, {"checked": 4, "removed": []})
    (victim,) = default_cache_folder().glob("*/*-5.recurrent")
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")
    status, verified = command("verify")
    assert status == 1
    assert [entry["file"] for entry in verified["removed"]] == [str(victim)]  # type: ignore[attr-defined]
    assert main(["cache", "clear", "--fingerprint", "no such"]) == 2
    assert "no such" in capsys.readouterr().err
    assert command("clear")[0] == 0
    assert list(default_cache_folder().iterdir()) == []


def test_whatever_is_not_ours_is_left_alone(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = [tmp_path / name for name in ("model/model.json", "work/.half.partial", "notes.txt")]
    for file in theirs:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    cache = open_cache(CacheSettings(folder=tmp_path, limits=DiskLimits(reserve=0)), checkpoint, "float32")
    cache.store.store((1, 2), TokenSource((1, 2)))
    cache.close()
    (ours,) = {folder.name for folder in tmp_path.iterdir()} - {"model", "work", "notes.txt"}
    (tmp_path / ours / "README").write_text("mine")
    assert main(["cache", "clear", "--cache", str(tmp_path)]) == 0
    assert "of 1 model in" in capsys.readouterr().out
    left = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    assert left == sorted([*theirs, tmp_path / ours / "README"])


def test_the_fingerprint_follows_whatever_a_state_depends_on(checkpoint: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(checkpoint, model)
    seen = {model_fingerprint(model, SETTINGS)}
    assert model_fingerprint(model, dict(SETTINGS)) in seen
    seen.add(model_fingerprint(model, {"dtype": "bfloat16"}))
    weights = model / "model.safetensors"
    times = weights.stat()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    seen.add(model_fingerprint(model, SETTINGS))
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert model_fingerprint(model, SETTINGS) in seen
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "rope_theta": 1.0}))
    seen.add(model_fingerprint(model, SETTINGS))
    assert len(seen) == 4
