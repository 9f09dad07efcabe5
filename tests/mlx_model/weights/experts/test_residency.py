"""Experts on disk: the same bits as with all in memory, whatever the disk does; and which of them stay."""

import errno
import itertools
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept
from mlx_model.decode.request import GenerationFinished, GenerationRequest, SamplingParameters, TokenGenerated
from mlx_model.engine.expert_use import UseRecord, read_expert_use, write_expert_use
from mlx_model.engine.guarded import GuardedGenerator, OutOfMemory
from mlx_model.engine.loading import load, load_qwen3_next
from mlx_model.engine.reserves import engine_reserves
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.memory.machine import Pressure
from mlx_model.memory.relief import Relief, Reserve
from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.experts.files import DiskReader, ExpertUnreadable
from mlx_model.weights.experts.residency import Residency
from mlx_model.weights.experts.slots import ExpertSlots
from mlx_model.weights.recipes import Recipe
from tests.support.engine.one_at_a_time import OneAtATime
from tests.support.weights.checkpoints import write_checkpoint

EXPERTS, ACTIVE = 24, 3
TOKENS = [(37 * place * place + 11 * place) % 256 for place in range(70)]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    """One tensor an expert, unpacked; and packed in the fused layout, with an MTP layer."""
    root = tmp_path_factory.mktemp("experts")
    sizes = {"num_experts": EXPERTS, "num_experts_per_tok": ACTIVE, "seed": 5, "mtp": True}
    write_checkpoint(root / "plain", dtype=mx.bfloat16, shards=2, **sizes)
    convert(root / "plain", root / "packed", Recipe.Q4)
    return {name: open_checkpoint(root / name) for name in ("plain", "packed")}


@pytest.fixture(scope="module")
def full(checkpoints: dict[str, Checkpoint]) -> dict[str, Qwen3Next]:
    return {name: load_qwen3_next(found, dtype="float32") for name, found in checkpoints.items()}


def streamed(checkpoint: Checkpoint, slots: int, **options: Any) -> tuple[Qwen3Next, Residency]:
    residency = Residency(checkpoint, slots, mx.float32, **options)
    return load_qwen3_next(checkpoint, dtype="float32", residency=residency), residency


def logits(model: Qwen3Next, chunk: int, decoded: int = 4) -> mx.array:
    """Of all tokens of a prompt and of those that follow it greedily."""
    state, parts = model.state(), []
    for start in range(0, len(TOKENS), chunk):
        parts.append(model.logits(mx.array([TOKENS[start : start + chunk]]), state))
        mx.eval(parts[-1], state.arrays())
    for _ in range(decoded):
        parts.append(model.logits(mx.argmax(parts[-1][:, -1:], axis=-1), state))
    return mx.concatenate(parts, axis=1)


@settings(max_examples=5, deadline=None)
@given(
    form=st.sampled_from(["plain", "packed"]),
    slots=st.integers(ACTIVE, EXPERTS - 1),
    chunk=st.integers(1, 70),
)
def test_logits_are_the_same_bits(
    checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next], form: str, slots: int, chunk: int
) -> None:
    model, residency = streamed(checkpoints[form], slots)
    assert mx.array_equal(logits(model, chunk), logits(full[form], chunk)).item()
    assert residency.counts.read > 0
    residency.close()


def test_rows_share_the_slots(checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next]) -> None:
    """Three sequences decoded together with experts on disk, and each alone with all in memory."""
    model, residency = streamed(checkpoints["packed"], ACTIVE + 1)
    states, alone = ([one.state() for _ in range(3)] for one in (model, full["packed"]))
    for row, length in enumerate((5, 31, 17)):
        for one, state in ((model, states[row]), (full["packed"], alone[row])):
            mx.eval(one.last_logits(mx.array([TOKENS[:length]]), state), state.arrays())
    step, tokens = model.side_by_side(states), [1, 2, 3]
    for _ in range(4):
        together = model.head(step(mx.array(tokens)))[0]
        for row, state in enumerate(alone):
            expected = full["packed"].last_logits(mx.array([[tokens[row]]]), state)
            assert mx.array_equal(together[row], expected).item()
            tokens[row] = int(mx.argmax(expected).item())
    residency.close()


def test_the_mtp_layer_streams_too(checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next]) -> None:
    model, residency = streamed(checkpoints["packed"], 4)
    embeddings, hidden = mx.random.normal((2, 1, 70, 64), key=mx.random.key(1))
    found, wanted = (m.mtp(embeddings, hidden, m.mtp_kv()) for m in (model, full["packed"]) if m.mtp)
    assert mx.array_equal(found, wanted).item()
    residency.close()


def test_slots_given_back_change_nothing_but_speed(
    checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next]
) -> None:
    model, residency = streamed(checkpoints["plain"], 16)
    logits(model, 40)
    mx.clear_cache()
    held, active = residency.nbytes, mx.get_active_memory()
    mx.reset_peak_memory()
    residency.resize(6)
    largest = max(tensor.nbytes for bank in residency.banks.values() for tensor in bank.tensors.values())
    assert mx.get_cache_memory() == 0 and mx.get_peak_memory() - active <= 3 * largest
    assert residency.slots == 6 and residency.nbytes == held * 6 // 16
    # Now, not only when the next request comes.
    assert active - mx.get_active_memory() == pytest.approx(held * 10 // 16, rel=0.02)
    assert mx.array_equal(logits(model, 40), logits(full["plain"], 40)).item()
    (experts,) = [reserve for reserve in engine_reserves(None, residency, lambda: held) if reserve.at > 1]
    assert experts.restore is not None
    assert experts.release() > 0 and residency.slots == 4
    assert experts.restore() > 0 and residency.slots == 6 and residency.nbytes == held * 6 // 16
    assert mx.array_equal(logits(model, 40), logits(full["plain"], 40)).item()
    assert experts.restore() == 0, "all of it is there"
    residency.close()


def test_slots_that_change_where_there_is_no_memory_to_copy_them_are_read_again(
    checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, residency = streamed(checkpoints["packed"], 16)
    logits(model, 40)
    evaluate, copies = mx.eval, itertools.count()

    def evaluated(*trees: Any) -> None:
        if isinstance(trees[0], mx.array) and next(copies) in {0, 4}:
            raise RuntimeError("[malloc] Unable to allocate 1 bytes.")
        evaluate(*trees)

    with monkeypatch.context() as patch:
        patch.setattr(mx, "eval", evaluated)
        residency.resize(6)
    assert next(copies) > 10 and residency.slots == 6
    assert mx.array_equal(logits(model, 40), logits(full["packed"], 40)).item()
    residency.close()


def test_what_a_reply_that_ran_out_of_memory_left_pending_is_not_computed_again(
    checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, residency = streamed(checkpoints["packed"], 16)
    too_large, evaluate = mx.zeros(1), mx.eval

    def evaluated(*trees: Any) -> None:
        if any(array is too_large for tree in trees for array in (tree if isinstance(tree, list) else [tree])):
            raise RuntimeError("[malloc] Unable to allocate 1 bytes.")
        evaluate(*trees)

    class Failing(OneAtATime):
        def answer(self, _request: Any, _cancelled: Any) -> Any:
            for bank in residency.banks.values():
                bank.used_by(too_large)
            mx.eval(too_large)
            yield

    monkeypatch.setattr(mx, "eval", evaluated)
    guarded = GuardedGenerator(Failing(), Relief(engine_reserves(None, residency)), residency)
    with pytest.raises(OutOfMemory):
        list(guarded.generate(GenerationRequest((1,), 1, frozenset()), lambda: False))
    assert mx.array_equal(logits(model, 40), logits(full["packed"], 40)).item()
    residency.close()


class Disk(DiskReader):
    """A disk with faults. `fault` is asked before each read; it may raise, wait, or give a number of bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[tuple[str, int]] = Counter()
        self.fault: Any = None
        self._counting = threading.Lock()

    def read_into(self, file: Path, offset: int, buffers: Sequence[memoryview]) -> int:
        with self._counting:
            self.reads[(file.name, offset)] += 1
            number = sum(self.reads.values())
        limit = self.fault(number, self.reads[(file.name, offset)]) if self.fault else None
        return super().read_into(file, offset, buffers if limit is None else [buffers[0][:limit]])


def test_a_chunk_reads_each_expert_it_needs_once(checkpoints: dict[str, Checkpoint]) -> None:
    disk = Disk()
    model, residency = streamed(checkpoints["packed"], 5, reader=disk)
    mx.eval(model.logits(mx.array([TOKENS]), model.state()))
    assert residency.counts.read == residency.counts.needed > 4 * 20
    assert set(disk.reads.values()) == {1}
    residency.close()


def test_an_odd_prompt_does_not_turn_everything_over() -> None:
    slots = ExpertSlots(64, 8)
    usual = np.arange(8)
    for slot in usual:
        slots.fill(int(slot), int(slot))
    for _ in range(200):
        slots.note(usual, np.ones(8, dtype=np.intp), 1)
    # A prompt of 20,000 tokens that goes to quite other experts.
    odd = np.arange(32, 64)
    for _ in range(10):
        slots.note(odd, np.full(32, 600), 2000)
        for pair in odd.reshape(-1, 2):
            passing = slots.coldest(2, keep=pair)
            slots.empty(passing)
            for slot, expert in zip(passing.tolist(), pair.tolist(), strict=True):
                slots.fill(slot, expert)
    assert len(set(slots.expert_in.tolist()) & set(usual.tolist())) >= 6
    # Usage that lasts does.
    for _ in range(3000):
        slots.note(odd[:8], np.ones(8, dtype=np.intp), 1)
    assert set(slots.favourites()) == set(odd[:8].tolist())


def slow(_number: int, _again: int) -> None:
    time.sleep(0.001)


def fails_once(number: int, again: int) -> None:
    if number % 50 == 1 and again == 1:
        raise OSError(errno.EIO, "Input/output error")


def short(_number: int, again: int) -> int | None:
    return 100 if again == 1 else None


@pytest.mark.parametrize("fault", [slow, fails_once, short])
def test_a_disk_that_stumbles_costs_only_time(
    checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next], fault: Any
) -> None:
    disk = Disk()
    disk.fault = fault
    model, residency = streamed(checkpoints["packed"], 6, reader=disk)
    assert mx.array_equal(logits(model, 50, 2), logits(full["packed"], 50, 2)).item()
    residency.close()


def greedy(generator: GuardedGenerator) -> tuple[list[int], GenerationFinished]:
    asked = GenerationRequest(tuple(TOKENS), 8, frozenset(), SamplingParameters(temperature=0))
    tokens, finished = [], None
    for event in generator.generate(asked, lambda: False):
        if isinstance(event, TokenGenerated):
            tokens.append(event.token)
        elif isinstance(event, GenerationFinished):
            finished = event
    assert finished is not None
    return tokens, finished


@pytest.mark.parametrize("kind", ["error", "end"])
def test_a_disk_that_fails_ends_one_reply_and_not_the_engine(
    checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next], kind: str
) -> None:
    disk = Disk()
    model, residency = streamed(checkpoints["packed"], 6, reader=disk)
    generator = GuardedGenerator(Generator(model, NothingKept(model), chunk=32), Relief([]), residency)
    resident = full["packed"]
    wanted, _ = greedy(GuardedGenerator(Generator(resident, NothingKept(resident), chunk=32), Relief([])))
    start = sum(disk.reads.values())

    def broken(number: int, _again: int) -> int | None:
        if number < start + 60:
            return None
        if kind == "end":
            return 0
        raise OSError(errno.EIO, "Input/output error")

    disk.fault = broken
    with pytest.raises(ExpertUnreadable, match=r"cannot be read from .*packed"):
        greedy(generator)
    disk.fault = None
    tokens, finished = greedy(generator)
    assert tokens == wanted
    assert finished.experts_needed and finished.experts_read
    assert 0 < finished.experts_read < finished.experts_needed
    residency.close()


def test_what_was_used_is_known_after_a_restart(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    model, residency = streamed(checkpoints["plain"], 8)
    logits(model, 10)
    write_expert_use(tmp_path / "use.npz", residency.frequencies())
    residency.close()
    again = Residency(checkpoints["plain"], 8, mx.float32, frequencies=read_expert_use(tmp_path / "use.npz"))
    again.warm()
    warm = load_qwen3_next(checkpoints["plain"], dtype="float32", residency=again)
    cold, from_cold = streamed(checkpoints["plain"], 8)
    before = again.counted()
    for running in (warm, cold):
        state = running.state()
        for token in TOKENS[:12]:
            mx.eval(running.logits(mx.array([[token]]), state))
    assert (again.counted() - before).hit_rate > from_cold.counts.hit_rate
    again.close()
    from_cold.close()


def test_what_is_used_is_written_down_now_and_then(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> None:
    """After the first reply, half a minute later if there was another, and at the end."""
    model, residency = streamed(checkpoints["packed"], 8)
    now, file = [100.0], tmp_path / "model" / "use.npz"
    record = UseRecord(file, residency, lambda: now[0])

    def written() -> bool:
        found = file.exists()
        file.unlink(missing_ok=True)
        return found

    record.save_if_due()
    assert not written(), "nothing was used yet"
    logits(model, 30)
    record.save_if_due()
    assert written()
    logits(model, 30)
    now[0] += 29
    record.save_if_due()
    assert not written()
    now[0] += 1
    record.save_if_due()
    assert written()
    now[0] += 60
    record.save_if_due()
    assert not written(), "nothing was used since"
    logits(model, 30)
    record.save()
    assert read_expert_use(file).keys() == residency.banks.keys()
    assert list(file.parent.iterdir()) == [file]
    residency.close()


def test_loading_counts_what_is_read_ahead(checkpoints: dict[str, Checkpoint]) -> None:
    """Experts that are read before they are asked for are part of the way to ready."""
    directory = checkpoints["packed"].directory
    model, residency = streamed(checkpoints["packed"], 8)
    logits(model, 10)
    use = residency.frequencies()
    residency.close()
    seen: list[tuple[int, int]] = []
    loaded = load(directory, expert_slots=8, expert_use=use, progress=lambda *at: seen.append(at))
    assert loaded.residency is not None
    dones = [done for done, _ in seen]
    totals = {total for _, total in seen}
    assert dones == sorted(dones) and totals == {dones[-1]}
    assert dones[-1] - dones[-2 - len(use)] >= loaded.residency.favourite_bytes > 0
    loaded.residency.close()


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 and then nothing"])
def test_a_spoilt_record_is_a_cold_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "use.npz").write_bytes(content)
    assert read_expert_use(tmp_path / "use.npz") == {}


def test_no_bit_of_a_record_can_keep_a_model_from_loading(tmp_path: Path) -> None:
    file = tmp_path / "use.npz"
    write_expert_use(file, {"bank": np.ones(2)})
    whole = file.read_bytes()
    # In the archive's directory, which is at its end.
    for place in range(8 * (len(whole) - 80), 8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        file.write_bytes(flipped)
        read_expert_use(file)


def test_in_bfloat16_too(checkpoints: dict[str, Checkpoint]) -> None:
    """The dtype in which the bank's memory is the file's, bit for bit."""
    every, some = (
        load(checkpoints["packed"].directory, dtype="bfloat16", expert_slots=slots).model for slots in (None, 5)
    )
    found, wanted = (model.logits(mx.array([TOKENS[:30]]), model.state()) for model in (some, every))
    assert mx.array_equal(found, wanted).item()


def test_as_many_experts_as_the_real_model_has(tmp_path: Path) -> None:
    """512 of which 10 are active: the same greedy tokens with every number of slots, ever more reading."""
    sizes = {"num_experts": 512, "num_experts_per_tok": 10, "moe_intermediate_size": 32, "num_hidden_layers": 2}
    write_checkpoint(tmp_path / "plain", layer_types=["linear_attention", "full_attention"], **sizes)
    convert(tmp_path / "plain", tmp_path / "fused", Recipe.BF16)
    checkpoint = open_checkpoint(tmp_path / "fused")
    found, read = [], []
    for slots in (512, 256, 128, 32, 10):
        model, residency = streamed(checkpoint, slots)
        generator = GuardedGenerator(Generator(model, NothingKept(model), chunk=64), Relief([]), residency)
        found.append(greedy(generator)[0])
        read.append(residency.counts.nbytes)
        residency.close()
    resident = load_qwen3_next(checkpoint, dtype="float32")
    wanted = greedy(GuardedGenerator(Generator(resident, NothingKept(resident), chunk=64), Relief([])))[0]
    assert found == [wanted] * 5
    assert read == sorted(read)


def test_a_reply_goes_on_while_memory_is_given_back(
    checkpoints: dict[str, Checkpoint], full: dict[str, Qwen3Next]
) -> None:
    """Buffers, then snapshots, then experts, in the middle of a reply; its tokens do not change."""
    model, residency = streamed(checkpoints["packed"], 20)
    store = PrefixStore(1 << 30)
    states = StoredStates(model, store)
    wanted = greedy(
        GuardedGenerator(Generator(full["packed"], NothingKept(full["packed"]), chunk=16), Relief([]))
    )
    quiet = GuardedGenerator(Generator(model, states, chunk=16), Relief([]), residency)
    assert greedy(quiet)[0] == wanted[0]
    seconds = itertools.count(step=2)
    relief = Relief(engine_reserves(store, residency), lambda: Pressure.CRITICAL, lambda: float(next(seconds)))
    states.keep(TOKENS[:20], _state_after(model, TOKENS[:20]))
    held = store.memory_bytes
    pressed = GuardedGenerator(Generator(model, NothingKept(model), chunk=16), relief, residency)
    assert greedy(pressed)[0] == wanted[0]
    assert store.memory_bytes < held
    assert residency.slots == ACTIVE
    given = relief.report()["given_back"]
    assert isinstance(given, dict) and set(given) >= {"snapshots", "experts"}
    residency.close()


def _state_after(model: Qwen3Next, tokens: list[int]) -> SequenceState:
    state = model.state()
    mx.eval(model.logits(mx.array([tokens]), state), state.arrays())
    return state


def test_reserves_are_given_back_until_there_is_enough() -> None:
    left = {"buffers": 3, "experts": 5}

    def reserve(name: str) -> Reserve:
        def release() -> int:
            left[name] = max(0, left[name] - 1)
            return left[name]

        return Reserve(name, release)

    Relief([reserve("buffers"), reserve("experts")]).release_until(lambda: left["experts"] <= 3)
    assert left == {"buffers": 0, "experts": 3}


def test_the_next_layers_experts_are_guessed(tmp_path: Path) -> None:
    """More of them are in memory when they are asked for; what is computed stays the same."""
    sizes = {"num_experts": 32, "num_experts_per_tok": 3, "num_hidden_layers": 6}
    checkpoint = open_checkpoint(write_checkpoint(tmp_path / "model", **sizes))
    rates, found = [], []
    for guessing in (True, False):
        model, residency = streamed(checkpoint, 12)
        if not guessing:
            for layer in model.layers:
                layer.following = None
        found.append(logits(model, 100, 10))
        before = residency.counted()
        logits(model, 100, 10)
        rates.append((residency.counted() - before).hit_rate)
        residency.close()
    assert mx.array_equal(*found).item()
    assert rates[0] > rates[1] + 0.05
