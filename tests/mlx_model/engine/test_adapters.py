"""Adapters of one base, changed between requests: without the base's files, and without mixing states."""

import argparse
import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx2
import mlx.core as mx
import numpy as np
import pytest

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.commands.shared.memory_check import settle_memory
from mlx_model.config.model_config import ModelConfig
from mlx_model.decode.request import GenerationFinished, GenerationRequest, SamplingParameters, TokenGenerated
from mlx_model.engine.adapted import AdaptedGenerator
from mlx_model.engine.adapters import adapter_directory
from mlx_model.engine.loading import LoadedModel, load
from mlx_model.errors import RequestError
from mlx_model.layers.projections import ExpertLinear
from mlx_model.memory.plan import Wishes
from mlx_model.server.http import create_app
from mlx_model.server.scheduler import Scheduler, ServedModel
from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.weights.adapter import adapter_bytes
from tests.support.patience import LONGEST
from tests.support.weights.adapters import NO_EXPERTS, change_tensors, write_adapter
from tests.support.weights.models import load_tiny
from tests.support.weights.servable import make_endless, servable_checkpoint

PROMPT = [(7 * place * place + 3 * place) % 90 for place in range(40)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_endless(servable_checkpoint(tmp_path_factory.mktemp("models") / "small"))


@pytest.fixture(scope="module")
def folder(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    adapters = tmp_path_factory.mktemp("adapters")
    write_adapter(adapters / "lora", base, None)
    write_adapter(adapters / "dora", base, NO_EXPERTS, kind="dora", seed=1)
    (adapters / "notes").mkdir()
    return adapters


def generator_of(loaded: LoadedModel) -> AdaptedGenerator[Any]:
    assert loaded.adapters is not None
    return AdaptedGenerator(loaded.generator(draft="none"), loaded.adapters)


def replied(
    generator: AdaptedGenerator[Any], adapter: str, prompt: list[int] | None = None
) -> tuple[list[int], GenerationFinished]:
    request = GenerationRequest(
        tuple(prompt or PROMPT), 12, frozenset(), SamplingParameters(temperature=0), adapter=adapter
    )
    *events, last = generator.generate(request, lambda: False)
    assert isinstance(last, GenerationFinished)
    return [event.token for event in events if isinstance(event, TokenGenerated)], last


def test_changing_the_adapter_is_loading_afresh_without_reading_the_base(
    base: Path, folder: Path, tmp_path: Path
) -> None:
    fresh = {
        name: replied(generator_of(load(base, dtype="float32", adapter=folder / name if name else None)), name)[
            0
        ]
        for name in ("", "lora", "dora")
    }
    assert len({tuple(tokens) for tokens in fresh.values()}) == 3
    copied = servable_checkpoint(tmp_path / "copied")
    (copied / "model.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    loaded = load(copied, dtype="float32", adapters=folder)
    (copied / "model.safetensors").unlink()
    generator = generator_of(loaded)
    for name in ("lora", "", "dora", "lora", "dora", ""):
        assert replied(generator, name)[0] == fresh[name]
    assert loaded.adapters is not None
    config = ModelConfig.from_directory(base)
    listed = {entry["id"]: entry for entry in loaded.adapters.listed()}
    assert listed.keys() == {"lora", "dora"}
    # What is forecast of one is what it takes. The plan has room for the largest; under pressure those that
    # are not on are given back.
    for name, entry in listed.items():
        assert entry["loaded_bytes"] == adapter_bytes(folder / name, config, 4) and not entry["on"]
    arguments = argparse.Namespace(model=base, dtype="float32", kv_bits=None, force=False, adapters=folder)
    plan = settle_memory(arguments, Wishes(256, snapshots=0))
    assert plan is not None and plan.adapter == max(entry["loaded_bytes"] for entry in listed.values())
    loaded.adapters.use("lora")
    assert loaded.adapters.drop_idle() == listed["dora"]["loaded_bytes"]
    assert {entry["id"]: entry["loaded_bytes"] > 0 for entry in loaded.adapters.listed()} == {
        "lora": True,
        "dora": False,
    }
    assert replied(generator, "dora")[0] == fresh["dora"]


def test_a_prefix_of_one_adapter_is_never_used_under_another(base: Path, folder: Path, tmp_path: Path) -> None:
    def start() -> tuple[AdaptedGenerator[Any], PrefixStore]:
        store = PrefixStore(1 << 28, DiskTier(tmp_path, "model", {}, DiskLimits(reserve=0)))
        return generator_of(load(base, dtype="float32", adapters=folder, store=store)), store

    generator, store = start()
    cold = {name: replied(generator, name)[0] for name in ("lora", "")}
    for name in ("lora", "", "lora", "dora", ""):
        longer = [*PROMPT, *cold.get(name, [5]), 1, 2]
        said, finished = replied(generator, name, longer)
        assert (finished.cached_tokens > 0) is (name in cold)
        expected, _ = replied(generator_of(load(base, dtype="float32", adapters=folder)), name, longer)
        assert said == expected
    store.close()
    # After a restart, from the disk.
    generator, store = start()
    assert replied(generator, "lora", [*PROMPT, *cold["lora"], 1, 2])[1].cached_tokens > len(PROMPT)
    assert replied(generator, "", [*PROMPT, *cold["lora"], 1, 2])[1].cached_tokens <= len(PROMPT)
    store.close()


def test_an_adapter_that_was_trained_anew_is_read_anew(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "mine", base, ["self_attn.o_proj"])
    store = PrefixStore(1 << 28)
    generator = generator_of(load(base, dtype="float32", adapters=tmp_path, store=store))
    before, _ = replied(generator, "mine")
    change_tensors(adapter, lambda tensors: tensors.update({n: 3 * t for n, t in tensors.items()}))
    after, finished = replied(generator, "mine", [*PROMPT, *before])
    assert finished.cached_tokens == 0
    expected, _ = replied(
        generator_of(load(base, dtype="float32", adapters=tmp_path)), "mine", [*PROMPT, *before]
    )
    assert after == expected


async def test_clients_with_different_adapters_are_answered_as_if_alone(base: Path, folder: Path) -> None:
    loaded = load(base, dtype="float32", adapters=folder, adapter=folder / "lora")
    assert loaded.adapters is not None
    served = ServedModel(
        "small", generator_of(loaded), PromptEncoder.from_directory(base), adapters=loaded.adapters
    )
    scheduler, ready = Scheduler(lambda _: served), threading.Event()
    scheduler.start(ready.set)
    assert await asyncio.to_thread(ready.wait, LONGEST)
    transport = httpx2.ASGITransport(create_app(scheduler))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=LONGEST) as client:

        async def answer(adapter: str | None) -> str:
            body = {"messages": [{"role": "user", "content": "word " * 9}], "temperature": 0, "max_tokens": 12}
            response = await client.post(
                "/v1/chat/completions", json=body | ({} if adapter is None else {"adapter": adapter})
            )
            assert response.status_code == 200, response.text
            return str(response.json()["choices"][0]["message"]["content"])

        asked = ("lora", "none", "dora", None, "none", "dora")
        together = await asyncio.gather(*(answer(adapter) for adapter in asked))
        assert list(together) == [await answer(adapter) for adapter in asked]
        assert together[0] == together[3] and len(set(together)) == 3
        listed = (await client.get("/v1/adapters")).json()["data"]
        assert [(entry["id"], entry["default"], entry["on"]) for entry in listed] == [
            ("dora", False, True),
            ("lora", True, False),
        ]
        body = {"messages": [{"role": "user", "content": "word"}], "adapter": "none such"}
        refused = await client.post("/v1/chat/completions", json=body)
        assert refused.status_code == 400 and "dora, lora" in refused.json()["error"]["message"]
    scheduler.stop()
    scheduler.join(LONGEST)


def test_requests_with_another_adapter_wait(base: Path, folder: Path) -> None:
    generator = generator_of(load(base, dtype="float32", adapters=folder))
    one = GenerationRequest((1, 2), 1, frozenset(), adapter="lora")
    other = GenerationRequest((1, 2), 1, frozenset(), adapter="dora")
    assert generator.admits([one], one)
    assert not generator.admits([one], other)
    assert generator.admits([], other)


def test_an_adapter_is_named_or_its_directory_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    assert adapter_directory("mine", tmp_path) == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own" / "mine").mkdir(parents=True)
    assert adapter_directory("own/mine", tmp_path) == Path("own/mine")
    assert adapter_directory("nowhere", tmp_path) == Path("nowhere")


def test_dora_of_a_bank_scales_every_row_to_its_magnitude(base: Path) -> None:
    """mlx-lm has no DoRA of experts; the definition is the oracle."""
    projection = load_tiny(base).adaptable["model.layers.0.mlp.experts.down_proj"]
    assert isinstance(projection, ExpertLinear)
    bank = projection.banks[0].weight
    experts, rows, columns = bank.shape
    random = np.random.default_rng(2)
    a, b, m = (
        mx.array(np.float32(random.standard_normal(shape)))
        for shape in ((experts, columns, 2), (experts, 2, rows), (experts, rows))
    )
    m = mx.where(mx.arange(rows) % 3 == 0, mx.array(float("nan")), mx.abs(m))
    adapted = bank + (a @ b).swapaxes(-1, -2)
    length = mx.linalg.norm(adapted, axis=-1)
    weight = adapted * mx.where(mx.isnan(m), 1, m / length)[..., None]
    chosen = mx.array([[1, 3, 0], [2, 2, 5]], dtype=mx.uint32)
    x = mx.array(np.float32(random.standard_normal((2, 3, 1, columns))))
    projection.update = projection.prepared(a, b, m, mx.float32)
    expected = x @ weight[chosen].swapaxes(-1, -2)
    np.testing.assert_allclose(projection(x, chosen, False), expected, rtol=1e-4, atol=1e-4)


def test_an_unknown_adapter_is_refused_and_the_model_stays(base: Path, folder: Path) -> None:
    adapters = load(base, dtype="float32", adapters=folder).adapters
    assert adapters is not None
    adapters.use("lora")
    with pytest.raises(RequestError, match="gone"):
        adapters.use("nowhere")
    assert adapters.current == "lora"
