"""The plan against hand arithmetic for Qwen3-Coder-Next on Macs of every size, and what it advises."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from app.model.catalogue.recipes import RECIPES
from mlx_model.__main__ import main
from mlx_model.config.model_config import Quantization
from mlx_model.config.published import published_config
from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.advice import verdict
from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import GIB, Machine, Pressure, mac
from mlx_model.memory.plan import CHUNKS, AdapterSize, MemoryPlan, Model, Wishes, plan_memory
from mlx_model.weights.layout import Component
from mlx_model.weights.recipes import Recipe
from tests.support.weights.published_shapes import published_shape

# By hand, for 48 layers (36 DeltaNet, 12 attention) of 512 experts, hidden 2048, inner 512, vocabulary 151,936.
EXPERTS = 48 * 512 * 3 * 2048 * 512
ROUTERS = 48 * (512 + 1) * 2048
EMBEDDING_AND_HEAD = 2 * 151_936 * 2048
ATTENTION = 12 * 2048 * ((2 * 16 + 2 * 2) * 256 + 16 * 256)
DELTA_NET = 36 * 2048 * (2 * 2048 + 2 * 4096 + 2 * 32 + 4096)
SHARED = 48 * 3 * 2048 * 512
DENSE = EMBEDDING_AND_HEAD + ATTENTION + DELTA_NET + SHARED
# Bits and, for each group of 64, a scale and a bias of 2 bytes.
FOUR, EIGHT = 4 / 8 + 4 / 64, 8 / 8 + 4 / 64
WEIGHTS = {
    Recipe.Q4: EXPERTS * FOUR + DENSE * FOUR + ROUTERS * EIGHT,
    Recipe.Q4_DENSE8: EXPERTS * FOUR + DENSE * EIGHT + ROUTERS * EIGHT,
    Recipe.Q8: (EXPERTS + DENSE + ROUTERS) * EIGHT,
}
ONE_SLOT = {recipe: EXPERTS / 512 * (EIGHT if recipe is Recipe.Q8 else FOUR) for recipe in WEIGHTS}
KV_A_TOKEN = 12 * 2 * 2 * 256 * 2
SNAPSHOT = 36 * (32 * 128 * 128 * 4 + 3 * 8192 * 2)

MACS = (24, 36, 48, 64, 96, 128, 192)
CONTEXTS = (8_192, 32_768, 131_072, 262_144)


def usable(gigabytes: int) -> int:
    """Two thirds of up to 32 GiB and three quarters of more, less a sixteenth of that or 1 GiB."""
    working_set = gigabytes * GIB * (2 / 3 if gigabytes <= 32 else 3 / 4)
    return int(working_set - max(GIB, working_set / 16))


def scores(chunk: int, context: int) -> int:
    """Of 16 heads in bfloat16 with a byte of mask, and keys once more: what long contexts are short of."""
    return 16 * chunk * context * 2 + chunk * context + context * 2 * 256 * 2


def activations(chunk: int, context: int) -> int:
    attention = scores(chunk, context) + chunk * 4 * (16 + 2) * 256 * 2
    delta_net = chunk * ((8192 + 4096 + 64) * 2 + 8192 * (2 * 2 + 3 * 4)) + 6 * 32 * 128 * 128 * 4
    routed = 3 * chunk * 10 * 2048 * 2
    return max(attention, delta_net, routed) + 3 * chunk * 2048 * 2


def plan(gigabytes: int, recipe: Recipe, **wishes: Any) -> MemoryPlan:
    return plan_memory(
        Model(published_config(), recipe_packing(recipe)), mac(gigabytes * GIB), Wishes(**wishes)
    )


@pytest.mark.parametrize("recipe", list(WEIGHTS), ids=str)
@pytest.mark.parametrize("gigabytes", MACS)
def test_the_plan_is_the_hand_arithmetic(gigabytes: int, recipe: Recipe) -> None:
    for context in CONTEXTS:
        # Recurrent states of the conversation now, before a block of drafts, and of three earlier lengths; in
        # the store, two more and 8,192 tokens of keys and values, and as much again on its way to the disk.
        least = 2 * SNAPSHOT + 8_192 * KV_A_TOKEN
        room = usable(gigabytes) - KV_A_TOKEN * context - 5 * SNAPSHOT - 2 * least
        found = plan(gigabytes, recipe, context=context)
        assert found.fits, "with experts on disk, the smallest of these Macs runs the largest of these recipes"
        assert found.context == context
        assert found.peak <= usable(gigabytes) + 1
        if WEIGHTS[recipe] * 1.001 + activations(64, context) < room:
            assert found.expert_slots is None
            assert found.weight_bytes == pytest.approx(WEIGHTS[recipe], rel=1e-3)
            best = next(c for c in CHUNKS if WEIGHTS[recipe] + activations(c, context) <= room)
            assert found.chunk == best
            left = room - WEIGHTS[recipe] - activations(best, context) + 2 * least
            snapshots = max(left / 2, left - GIB)
            assert found.snapshots == pytest.approx(min(snapshots, gigabytes * GIB / 16), rel=0.01, abs=2e8)
        elif WEIGHTS[recipe] * 0.999 + activations(64, context) > room:
            counts = {
                chunk: 512 - (WEIGHTS[recipe] + activations(chunk, context) - room) / ONE_SLOT[recipe]
                for chunk in CHUNKS[2:]
            }
            chunk, slots = next((c, count) for c, count in counts.items() if count >= 10)
            assert found.chunk == chunk
            assert found.expert_slots == pytest.approx(slots, abs=2)
        else:
            pytest.fail("a case on the edge: choose another, so that the test decides")


def test_conversations_at_once_fit_in_the_room_of_one_with_a_full_context() -> None:
    full = plan(64, Recipe.Q4, context=131_072)
    room = 131_072 * KV_A_TOKEN + 5 * SNAPSHOT
    for lengths in ([131_072], [131_072, 1], [50_000, 50_000], [65_536, 65_536], [10_000] * 6, [10_000] * 8):
        taken = sum(length * KV_A_TOKEN + 5 * SNAPSHOT for length in lengths)
        assert full.holds(lengths) == (taken <= room), lengths
    # What is free beside the peak is theirs, too.
    assert replace(full, snapshots=full.snapshots - 5 * SNAPSHOT - KV_A_TOKEN).holds([131_072, 1])


def test_without_a_context_it_is_as_long_as_fits() -> None:
    small, large = plan(64, Recipe.Q4), plan(96, Recipe.Q4)
    assert large.context == 262_144
    assert 65_536 <= small.context < 131_072
    longer = plan(64, Recipe.Q4, context=small.context + 2048, chunk=small.chunk)
    assert longer.expert_slots is not None, "2,048 tokens more and all experts do not fit"
    # Rather a short context than experts on disk; where they are there anyway, a useful one.
    tight = plan(64, Recipe.Q4_DENSE8)
    assert tight.expert_slots is None and 32_768 <= tight.context < 65_536
    assert 65_536 <= plan(48, Recipe.Q4).context < 70_000


def test_a_machine_short_of_memory_gets_a_larger_margin() -> None:
    model, machine = Model(published_config(), recipe_packing(Recipe.Q4)), mac(64 * GIB)
    calm, pressed = (
        plan_memory(model, replace(machine, pressure=pressure))
        for pressure in (Pressure.NORMAL, Pressure.CRITICAL)
    )
    assert pressed.margin == 3 * calm.margin
    assert pressed.expert_slots is not None and calm.expert_slots is None


def test_limits_given_to_mlx_stay_inside_what_the_machine_allows() -> None:
    for gigabytes in MACS:
        for recipe in WEIGHTS:
            found = plan(gigabytes, recipe)
            assert found.peak <= found.memory_limit < found.machine.usable
            assert found.wired_limit <= 0.95 * found.machine.usable
            assert 0 < found.cache_limit < found.memory_limit


def test_eight_bit_keys_and_values_halve_them_and_leave_room_for_experts() -> None:
    model = Model(published_config(), recipe_packing(Recipe.Q4))
    exact, packed = (
        plan_memory(replace(model, kv_bits=bits), mac(48 * GIB), Wishes(131_072)) for bits in (None, 8)
    )
    assert packed.kv == pytest.approx(exact.kv * (8 + 32 / 64) / 16)
    assert (packed.expert_slots or 0) > (exact.expert_slots or 0)


def test_an_mtp_layer_counts() -> None:
    model = Model(published_config(), recipe_packing(Recipe.Q4))
    without, with_it = (
        plan_memory(replace(model, mtp=mtp), mac(192 * GIB), Wishes(8192)) for mtp in (False, True)
    )
    # A full-attention layer with its own experts, and a projection of 4096 to 2048.
    layer = (EXPERTS + SHARED) / 48 * FOUR + ATTENTION / 12 * FOUR + 2 * 2048 * 2048 * FOUR
    assert with_it.weight_bytes - without.weight_bytes == pytest.approx(layer, rel=0.01)


def test_an_adapter_counts_with_the_layer_that_it_brings() -> None:
    model, wishes = Model(published_config(), recipe_packing(Recipe.Q4), mtp=True), Wishes(8192)
    plain, matrices, whole = (
        plan_memory(replace(model, adapter=adapter), mac(192 * GIB), wishes)
        for adapter in (AdapterSize(0, mtp=False), AdapterSize(10**8, mtp=False), AdapterSize(10**8, mtp=True))
    )
    assert matrices.peak - matrices.stored == plain.peak - plain.stored + 10**8
    assert whole.weight_bytes - matrices.weight_bytes == plain.weights[Component.MTP]
    # What would fit is said, and the adapter is among it.
    large = replace(model, adapter=AdapterSize(10**10, mtp=False))
    asked = Wishes(8192, expert_slots=512)
    found = plan_memory(large, mac(64 * GIB), asked)
    assert not found.fits and "without adapters" in verdict(large, mac(64 * GIB), asked, found)


def test_a_cpu_pays_for_its_recurrence() -> None:
    model = Model(published_config(), recipe_packing(Recipe.Q4), Arithmetic(4, stepwise=True))
    found = plan_memory(model, Machine(64 * GIB, 64 * GIB, "linux"), Wishes(8192, chunk=256))
    assert found.activations > 256 * 32 * 128 * 128 * 4


@pytest.mark.parametrize("kind", [{"stepwise": True}, {"by_blas": True}])
def test_a_cpu_reads_prompts_in_chunks_that_its_caches_take(kind: dict[str, bool]) -> None:
    model = Model(published_config(), recipe_packing(Recipe.Q4), Arithmetic(4, **kind))
    found = plan_memory(model, Machine(256 * GIB, 256 * GIB, "linux"), Wishes(8192))
    assert found.fits and found.chunk == 512


@pytest.mark.parametrize("kind", ["mac", "linux"])
@pytest.mark.parametrize("gigabytes", MACS)
def test_what_the_workspace_says_is_what_the_engine_does(gigabytes: int, kind: Any) -> None:
    """Its round figures, for the recipes it offers, against the plan."""
    machine = mac(gigabytes * GIB) if kind == "mac" else Machine(gigabytes * GIB, gigabytes * GIB, "linux")
    for offered in RECIPES:
        name, _, bits = offered.title.removesuffix("-bit").partition(" ")
        packing = Quantization(bits=int(bits), group_size=64)
        found = plan_memory(Model(published_shape(name), lambda *_, packing=packing: packing), machine)
        said = offered.judged(gigabytes * GIB, kind)
        assert said.usable == found.budget
        is_whole = found.fits and found.expert_slots is None
        assert (said.fits, said.runs) == (is_whole, found.fits), (offered.title, found)
        assert said.held == pytest.approx(found.expert_slots or 0, abs=6)


def test_what_the_workspace_says_of_sizes_is_what_the_engine_counts() -> None:
    for offered in RECIPES:
        name, _, bits = offered.title.removesuffix("-bit").partition(" ")
        packing = Quantization(bits=int(bits), group_size=64)
        model = Model(published_shape(name), lambda *_, packing=packing: packing)
        plan = plan_memory(model, mac(512 * GIB))
        assert offered.size - offered.unread == pytest.approx(plan.weight_bytes, rel=0.01)
        if offered.experts is not None:
            assert offered.experts.nbytes == pytest.approx(plan.weights[Component.EXPERTS], rel=0.01)
            assert offered.experts.count == model.config.num_experts
            assert offered.experts.active == model.config.num_experts_per_tok


def fit(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["fit", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_fit_says_what_would_make_a_misfit_fit(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("--memory", "64GB", "--recipe", "q8", "--context", "262144", "--expert-slots", "512")
    status, report = fit(capsys, *wanted)
    assert status == 1 and report["fits"] is False
    sentence = report["verdict"]
    assert f"{report['peak_bytes'] / 1e9:.1f} GB" in sentence and "a Mac with 128 GB" in sentence
    # What it advises is true.
    slots = next(word for word in sentence.split() if word.isdecimal() and int(word) < 512)
    assert fit(capsys, *wanted[:-1], slots)[0] == 0
    assert fit(capsys, "--memory", "128GB", *wanted[2:])[0] == 0


@pytest.mark.parametrize(("gigabytes", "context", "is_told"), [(64, 262_144, True), (48, 262_144, False)])
def test_the_limit_of_the_gpus_memory_is_named_with_the_least_number_that_does(
    gigabytes: int, context: int, is_told: bool
) -> None:
    model = Model(published_config(), recipe_packing(Recipe.Q4))
    wishes = Wishes(context=context, expert_slots=512)
    machine = mac(gigabytes * GIB)
    said = verdict(model, machine, wishes, plan_memory(model, machine, wishes))
    named = re.search(r"sudo sysctl iogpu\.wired_limit_mb=(\d+), until the next restart", said)
    assert (named is not None) == is_told, said
    if named is not None:
        for limit, fits in ((int(named[1]), True), (int(named[1]) - 1, False)):
            raised = Machine(machine.memory, limit << 20, "mac")
            assert plan_memory(model, raised, wishes).fits == fits
        assert int(named[1]) << 20 <= machine.memory * 7 // 8
    on_linux = Machine(machine.memory, machine.usable, "linux")
    assert "sysctl" not in verdict(model, on_linux, wishes, plan_memory(model, on_linux, wishes))


def test_fit_draws_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--memory", "36GB"]) == 0
    said = capsys.readouterr().out
    assert "█" in said and "of each layer" in said and "Mac with 64 GB" in said


@pytest.mark.parametrize("size", ["0GB", "much", "-5", "12XB"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--memory", size])
    assert ended.value.code == 2
    assert "36GB" in capsys.readouterr().err or size.startswith("-")
