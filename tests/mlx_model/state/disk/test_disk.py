"""The durable tier: what it gives back is right or nothing, whatever happened to the disk."""

import json
import logging
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.state.disk.folder import SnapshotName
from mlx_model.state.disk.snapshot_file import SnapshotFileDamaged, read_snapshot_file, write_snapshot_file
from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_state import Arrays, array_bytes
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.token_states import TokenSource, assert_is_state_of, recurrent_of
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.programs.writes_forever import FLOATS, conversation

ROOMY = DiskLimits(reserve=0)
WRITER = [sys.executable, "-m", "tests.support.programs.writes_forever"]


def open_store(root: Path, limits: DiskLimits = ROOMY, model: str = "model") -> tuple[PrefixStore, DiskTier]:
    tier = DiskTier(root, model, {"model": model}, limits)
    return PrefixStore(1 << 30, tier), tier


def fill(root: Path, *conversations: tuple[int, ...], limits: DiskLimits = ROOMY) -> None:
    store, _ = open_store(root, limits)
    for tokens in conversations:
        store.store(tokens, TokenSource(tokens))
    store.close()


conversations = st.lists(st.integers(0, 1), min_size=1, max_size=10).map(tuple)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("store"), conversations),
        st.tuples(st.just("look up"), conversations),
        st.tuples(st.sampled_from(["restart", "shrink"]), st.just(())),
    ),
    max_size=30,
)


@given(operations)
@settings(max_examples=40, deadline=None)
def test_nothing_is_lost_over_restarts(steps: list[tuple[str, tuple[int, ...]]]) -> None:
    root = Path(os.environ["TIDEGATE_HOME"]) / "snapshots"
    shutil.rmtree(root, ignore_errors=True)
    store, tier = open_store(root)
    stored: set[tuple[int, ...]] = set()
    for action, tokens in steps:
        if action == "store":
            store.store(tokens, TokenSource(tokens))
            stored.add(tokens)
        elif action == "restart":
            store.close()
            store, tier = open_store(root)
        elif action == "shrink":
            tier.flush()
            store.shrink(0)
        else:
            tier.flush()
            expected = max((size for size in range(1, len(tokens)) if tokens[:size] in stored), default=0)
            found = store.lookup(tokens)
            assert (found.position if found else 0) == expected
            if found:
                assert_is_state_of(found, tokens)
    store.close()


def test_a_start_reads_no_file_and_a_lookup_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, (1, 2), (1, 2, 3, 4), (1, 2, 9), (7, 7, 7))
    read: list[Path] = []

    def recording(path: Path, facts: dict[str, object]) -> object:
        read.append(path)
        return read_snapshot_file(path, facts)

    monkeypatch.setattr("mlx_model.state.disk.tier.read_snapshot_file", recording)
    store, _ = open_store(tmp_path)
    assert read == []
    found = store.lookup((1, 2, 3, 4, 5))
    assert found is not None
    assert found.position == 4
    assert sorted(path.suffix for path in read) == [".recurrent", ".segment", ".segment"]
    store.close()


def test_another_model_finds_nothing(tmp_path: Path) -> None:
    fill(tmp_path, (1, 2, 3))
    other, _ = open_store(tmp_path, model="other")
    assert other.lookup((1, 2, 3, 4)) is None
    # Not even when the files are moved under its name.
    shutil.copytree(tmp_path / "model", tmp_path / "other", dirs_exist_ok=True)
    assert other.lookup((1, 2, 3, 4)) is None
    other.close()


@pytest.mark.parametrize("seed", range(3))
def test_any_flipped_bit_or_cut_is_a_miss_and_the_file_goes(
    tmp_path: Path, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    choice = random.Random(seed)
    tokens = (1, 2, 3, 4)
    for round_ in range(60):
        root = tmp_path / str(round_)
        fill(root, tokens)
        files = [path for path in sorted((root / "model").iterdir()) if path.name != "model.json"]
        victim = choice.choice(files)
        data = bytearray(victim.read_bytes())
        if choice.random() < 0.7:
            data[choice.randrange(len(data))] ^= 1 << choice.randrange(8)
        elif choice.random() < 0.5:
            del data[choice.randrange(len(data)) :]
        else:
            data += b"\0"
        victim.write_bytes(data)
        caplog.clear()
        store, tier = open_store(root)
        assert store.lookup((*tokens, 5)) is None
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert not victim.exists()
        # and what is computed anew is kept again, and found again by the same process
        store.store(tokens, TokenSource(tokens))
        tier.flush()
        store.shrink(0)
        store.store((9, 9, 9), TokenSource((9, 9, 9)))
        store.shrink(0)
        assert store.lookup((*tokens, 5)) is not None
        store.close()
        again, _ = open_store(root)
        found = again.lookup((*tokens, 5))
        assert found is not None
        assert_is_state_of(found, tokens)
        again.close()


def test_a_damaged_snapshot_leaves_the_shallower_ones(tmp_path: Path) -> None:
    fill(tmp_path, (1, 2), (1, 2, 3), (1, 2, 3, 4))
    (deepest,) = (tmp_path / "model").glob("*-4.recurrent")
    (middle,) = (tmp_path / "model").glob("*-3.segment")
    deepest.write_bytes(b"")
    middle.unlink()
    store, _ = open_store(tmp_path)
    found = store.lookup((1, 2, 3, 4, 5))
    assert found is not None
    assert found.position == 2
    assert_is_state_of(found, (1, 2))
    store.close()


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_foreign_bytes_are_damage_and_nothing_else(data: bytes) -> None:
    path = Path(os.environ["TIDEGATE_HOME"]) / "foreign"
    path.write_bytes(data)
    with pytest.raises(SnapshotFileDamaged):
        read_snapshot_file(path, {})


def test_no_single_bit_can_be_flipped_unnoticed(tmp_path: Path) -> None:
    path, facts = tmp_path / "file", {"kind": "segment", "position": 3}
    write_snapshot_file(
        path, facts, {"keys": np.arange(9, dtype=np.float32), "bits": np.arange(3, dtype=np.uint8)}
    )
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        with pytest.raises(SnapshotFileDamaged):
            read_snapshot_file(path, facts)


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "half": np.arange(7, dtype=np.float16),
        "bits": np.arange(5, dtype=np.uint16).reshape(1, 5),
        "none": np.zeros((1, 2, 0, 4), dtype=np.float32),
        "large": np.random.default_rng(0).standard_normal((3, 400_000)),
        "turned": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    }
    write_snapshot_file(tmp_path / "file", {"a": 1}, arrays)
    back = read_snapshot_file(tmp_path / "file", {"a": 1})
    assert list(back) == list(arrays)
    for name, value in arrays.items():
        assert back[name].dtype == value.dtype
        assert np.array_equal(back[name], value)
    with pytest.raises(SnapshotFileDamaged, match="another model"):
        read_snapshot_file(tmp_path / "file", {"a": 2})


def test_an_unreadable_folder_is_a_miss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    store, _ = open_store(blocked)
    store.store((1, 2), TokenSource((1, 2)))
    store.store((1, 2, 3), TokenSource((1, 2, 3)))
    found = store.lookup((1, 2, 3, 4))
    assert found is not None, "memory still serves"
    store.close()
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


def test_a_write_that_finds_no_memory_is_one_line_and_the_next_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any) -> None:
        raise MemoryError

    store, tier = open_store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("mlx_model.state.disk.tier.write_snapshot_file", no_memory)
        store.store((1, 2), TokenSource((1, 2)))
        tier.flush()
    assert [record.levelname for record in caplog.records] == ["WARNING"] and "no memory" in caplog.text
    store.store((3, 4), TokenSource((3, 4)))
    store.close()
    found = open_store(tmp_path)[0].lookup((3, 4, 5))
    assert found is not None
    assert_is_state_of(found, (3, 4))


def test_what_is_not_written_yet_is_found_and_the_newest_is_written_first_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    begun, go_on = threading.Event(), threading.Event()

    def slowly(path: Path, facts: dict[str, Any], arrays: Arrays) -> None:
        begun.set()
        go_on.wait(LONGEST)
        written.append(f"{facts['kind']} {facts['position']}")
        write_snapshot_file(path, facts, arrays)

    monkeypatch.setattr("mlx_model.state.disk.tier.write_snapshot_file", slowly)
    store, tier = open_store(tmp_path)
    conversations = [(0,), (1, 1), (2, 2, 2), (2, 2, 2, 2)]
    for tokens in conversations:
        store.store(tokens, TokenSource(tokens))
        store.shrink(0)
    assert begun.wait(LONGEST)
    for tokens in conversations:
        found = store.lookup((*tokens, 9))
        assert found is not None
        assert_is_state_of(found, tokens)
        assert found.position == len(tokens)
    closing = threading.Thread(target=store.close)
    closing.start()
    while not tier._writer._closed:
        pass
    go_on.set()
    closing.join()
    assert written[:5] == ["segment 1", "recurrent 1", "segment 3", "segment 4", "recurrent 4"]
    store, _ = open_store(tmp_path)
    assert all(store.lookup((*tokens, 9)) for tokens in conversations)
    store.close()


@dataclass(frozen=True)
class Copied(TokenSource):
    """Notes what is copied out of it."""

    runs: list[tuple[int, int]] = field(default_factory=list)

    def segment(self, start: int, stop: int) -> Arrays:
        self.runs.append((start, stop))
        return super().segment(start, stop)


def test_a_conversation_larger_than_memory_is_kept_on_disk_piece_by_piece(tmp_path: Path) -> None:
    """Memory keeps to its budget, each token is copied once, and every snapshot is found, now and later; what
    stood on a file that is lost stands on the next that is kept."""
    budget = array_bytes(recurrent_of((1, 2, 3))) + 100
    tier = DiskTier(tmp_path, "model", {}, ROOMY)
    store = PrefixStore(budget, tier)
    tokens = tuple(range(60))
    for length in range(6, 61, 6):
        source = Copied(tokens[:length])
        store.store(tokens[:length], source)
        assert source.runs == [(length - 1, length), (length - 6, length)]
        assert store.memory_bytes <= budget
        found = store.lookup((*tokens[:length], 99))
        assert found is not None and found.position == length
        assert_is_state_of(found, tokens)
    store.close()
    (lost,) = (tmp_path / "model").glob("*-30.segment")
    lost.unlink()
    again = PrefixStore(budget, DiskTier(tmp_path, "model", {}, ROOMY))
    found = again.lookup((*tokens, 99))
    assert found is not None and found.position == 24, "what stood on the lost one is lost with it"
    again.store(tokens[:54], Copied(tokens[:54]))
    again.close()
    last = PrefixStore(budget, DiskTier(tmp_path, "model", {}, ROOMY))
    for length in (24, 54, 60):
        found = last.lookup((*tokens[:length], 99))
        assert found is not None and found.position == length
        assert_is_state_of(found, tokens)
    last.close()


def test_the_cap_evicts_the_least_recently_used_of_all_models(tmp_path: Path) -> None:
    fill(tmp_path, (1, 0), (2, 0), (3, 0))
    size = sum(path.stat().st_size for path in (tmp_path / "model").glob("*-2.*")) // 3
    old = time.time() - 1000
    for path in (tmp_path / "model").glob("*.recurrent"):
        os.utime(path, (old, old))
    store, _ = open_store(tmp_path)
    assert store.lookup((2, 0, 9)) is not None
    store.close()
    other, _ = open_store(tmp_path, DiskLimits(cap=int(2.5 * size), reserve=0), model="other")
    other.store((4, 0), TokenSource((4, 0)))
    other.close()
    store, _ = open_store(tmp_path)
    assert [bool(store.lookup((first, 0, 9))) for first in (1, 2, 3)] == [False, True, False]
    assert not [path for path in (tmp_path / "model").iterdir() if path.stat().st_size > 0 and path.stem == "1"]
    store.close()
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*-*")) <= 2.5 * size


def test_eviction_keeps_the_segments_that_deeper_snapshots_stand_on(tmp_path: Path) -> None:
    chain = [tuple(range(size)) for size in (2, 4, 6, 8)]
    fill(tmp_path, *chain)
    size = max(path.stat().st_size for path in tmp_path.glob("*/*.recurrent"))
    limits = DiskLimits(cap=sum(path.stat().st_size for path in tmp_path.glob("*/*-*")) + size // 2, reserve=0)
    for path in sorted(tmp_path.glob("*/*.recurrent")):
        position = SnapshotName.parse(path.name).position  # type: ignore[union-attr]
        os.utime(path, (position, position))
    store, _ = open_store(tmp_path, limits)
    store.store((9, 9), TokenSource((9, 9)))
    store.close()
    store, _ = open_store(tmp_path, limits)
    assert store.lookup((*chain[0], 9)) is None
    found = store.lookup((*chain[3], 9))
    assert found is not None
    assert_is_state_of(found, chain[3])
    store.close()


def test_two_processes_share_one_folder(tmp_path: Path) -> None:
    first, first_tier = open_store(tmp_path)
    second, second_tier = open_store(tmp_path)
    first.store((1, 2), TokenSource((1, 2)))
    first_tier.flush()
    found = second.lookup((1, 2, 3))
    assert found is not None
    second.store((1, 2, 3), TokenSource((1, 2, 3)))
    second_tier.flush()
    first.shrink(0)
    found = first.lookup((1, 2, 3, 4))
    assert found is not None
    assert found.position == 3
    # One clears the cache under the other.
    shutil.rmtree(tmp_path / "model")
    first.store((8, 8), TokenSource((8, 8)))
    first_tier.flush()
    assert second.lookup((8, 8, 8)) is not None
    first.close()
    second.close()


def test_temporaries_of_the_dead_are_swept_and_of_the_living_are_not(tmp_path: Path) -> None:
    fill(tmp_path, (1, 2))
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    folder = tmp_path / "model"
    for name in (f".{dead.pid}-aa-0.partial", f".{os.getpid()}-earlier-0.partial"):
        (folder / name).write_bytes(b"half")
    living, foreign = folder / f".{os.getppid()}-bb-0.partial", folder / ".theirs.partial"
    living.write_bytes(b"half")
    foreign.write_bytes(b"half")
    fill(tmp_path, (1, 2))
    assert sorted(folder.glob(".*")) == [living, foreign]
    assert json.loads((folder / "model.json").read_text()) == {"model": "model"}


@pytest.mark.parametrize("free", ["known", "misreported"])
def test_a_disk_that_fills(tmp_path: Path, free: str) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("a small disk needs a namespace of its own")
    mount = f"mount -t tmpfs -o size=50m none {tmp_path}"
    fill_it = f"{sys.executable} -m tests.support.programs.fills_disk {tmp_path} {free}"
    command = [*alone, "sh", "-c", f"{mount} && {fill_it}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers["wrong"] == 0
    assert answers["right"] > 0
    assert answers["log_lines"] <= 1
    assert answers["partials"] == 0


def kill_while_writing(root: Path, kills: int, seed: int) -> None:
    """Start the writer, kill it at a random moment, and judge everything that a new start finds."""
    choice = random.Random(seed)
    found_any = 0
    for _ in range(kills):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.support.programs.writes_forever",
                str(root),
                str(choice.randrange(40)),
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        # Not a wait for something: the moment itself is what is being varied.
        time.sleep(choice.random() * 0.3)
        process.kill()
        process.wait()
        process.stdout.close()
        store, _ = open_store(root)
        assert not list(root.glob("*/.*.partial"))
        for number in range(40):
            tokens = (*conversation(number), 5)
            state = store.lookup(tokens)
            if state is not None:
                found_any += 1
                assert_is_state_of(state, tokens, FLOATS)
            store.shrink(0)
        store.close()
        assert sum(path.stat().st_size for path in root.glob("*/*-*")) <= 8_000_000
    assert found_any


def test_kill_during_a_write(tmp_path: Path) -> None:
    kill_while_writing(tmp_path, kills=5, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_kill_during_a_write_200_times(tmp_path: Path) -> None:
    kill_while_writing(tmp_path, kills=200, seed=2)
