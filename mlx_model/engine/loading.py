"""Loading a model directory, and making generators over the loaded model."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import mlx.core as mx

from mlx_model.config.family import ARCHITECTURES
from mlx_model.config.model_config import Quantization, architecture
from mlx_model.decode.controller import Controller, narrow_passes
from mlx_model.decode.drafting import Drafting, Step
from mlx_model.decode.drafts.dflash import DFlashDrafter
from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.drafts.mtp import MtpDrafter
from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import LanguageModel, NothingKept, StateKeeper
from mlx_model.decode.request import DraftMode
from mlx_model.decode.verify import DEEPEST, VerifyingModel
from mlx_model.engine.adapters import Adapters, check_experts
from mlx_model.engine.kernel_choice import choose_delta_step, use_delta_step
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.errors import ConfigError
from mlx_model.layers.drafters.dflash import DFlash
from mlx_model.layers.parameters import Parameters
from mlx_model.memory.device import blas_in_use, default_dtype, on_cpu, prepare_mlx
from mlx_model.memory.graphs import compile_without_fusing
from mlx_model.model import Qwen3Next
from mlx_model.state.kv import KVBits
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState
from mlx_model.weights.adapter import read_adapter
from mlx_model.weights.checkpoint import Checkpoint, Progress, StoredProjection, open_checkpoint
from mlx_model.weights.drafter import DRAFTER_PACKING, read_drafter
from mlx_model.weights.experts.residency import Residency
from mlx_model.weights.experts.slots import Frequencies
from mlx_model.weights.unpacking import unpacked_tensors

_log = logging.getLogger(__name__)

_KEPT_EXACT = (".A_log", ".dt_bias")
"""Tensors that keep the checkpoint's dtype: DeltaNet's decay is computed from them in float32."""

_DEEPEST_MTP = 7
"""The most tokens that an MTP layer drafts at once, within passes that run in the kernels for few tokens: each
costs a pass of the layer, and fewer and fewer are accepted."""

_BESIDE_LOOKUP = 3
"""The most of them where lookup may go on behind the first, which costs nothing."""

DType = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory. `runner`: "tidegate" or "mlx-lm", whose code runs it; `lacks`: features that are not
    available with that runner, for display."""

    directory: Path
    architecture: str
    runner: str
    model: LanguageModel[Any]
    states: StateKeeper[Any]
    lacks: tuple[str, ...] = ()
    residency: Residency | None = None
    """The experts' residency, where only some of them are in memory."""
    adapters: Adapters | None = None
    """The adapters that it can be given; None: mlx-lm runs the model."""
    delta_step: str | None = None
    """By which operations DeltaNet layers decode a token, for display; None: mlx-lm runs the model."""

    def generator(
        self,
        *,
        context_length: int | None = None,
        chunk: int | None = None,
        draft: DraftMode = "none",
        watch: Callable[[Step], None] = lambda _step: None,
    ) -> Generator[Any]:
        """A GeneratorPort over the model. `context_length`: at most the model's; `chunk`: prompt tokens
        computed at once (default: 512 on a CPU, else 2048); `draft`: the mode of requests that name none;
        `watch` is called with every measured pass of drafting. Raises ConfigError where the model cannot draft
        in that mode."""
        longest = self.model.context_length
        possible = self._ways(watch)
        if draft not in possible:
            raise ConfigError(self._cannot(draft))
        return Generator(
            self.model,
            self.states,
            context_length=min(context_length or longest, longest),
            chunk=chunk or (512 if on_cpu() else 2048),
            drafting=possible[draft],
            ways=possible,
            cannot=self._cannot,
            batching=self.model if isinstance(self.model, Qwen3Next) else None,
        )

    @property
    def held_bytes(self) -> int:
        """Bytes of the last generation's state, which the next generation reuses or frees."""
        return self.states.held_bytes if isinstance(self.states, StoredStates) else 0

    def close(self) -> None:
        """Drops the compiled graphs. Called on the thread that ran the model, before it ends: what MLX keeps of
        them for a thread needs Python to be dropped, and where Python has ended by then, glibc aborts the
        process."""
        if isinstance(self.model, Qwen3Next):
            self.model.forget_compiled()

    def drafter(self, draft: DraftMode) -> str:
        """The draft sources of a mode, for display. Raises ConfigError where the model cannot draft in it."""
        possible = self._ways()
        if draft not in possible:
            raise ConfigError(self._cannot(draft))
        drafting = possible[draft]
        if drafting is None:
            return "none"
        source = self.model.config.mtp_source if isinstance(self.model, Qwen3Next) else None
        if MtpDrafter.name not in drafting.sources:
            note = " (the checkpoint has no MTP layer)" if "mtp" not in possible else ""
        else:
            note = f" (MTP layer from {source})" if source else ""
        return " + ".join(drafting.sources) + note

    def _ways(
        self, watch: Callable[[Step], None] = lambda _step: None
    ) -> dict[DraftMode, Drafting[Any] | None]:
        """The draft modes of this model, each with its Drafting (None: no drafts)."""
        if isinstance(self.model, Qwen3Next):
            return ways(self.model, self.model, watch=watch)
        return {"none": None, "auto": None}

    def _cannot(self, draft: DraftMode) -> str:
        if not isinstance(self.model, Qwen3Next):
            return (
                f"mlx-lm runs a {self.architecture} model here, and cannot draft by {draft}: take auto or none."
            )
        if draft == "dflash":
            return "There is no DFlash drafter to draft with: name its directory with --drafter."
        return (
            "This checkpoint has no MTP layer to draft with: graft one with convert --graft-mtp, fit one with "
            "train-mtp, or draft by lookup or auto."
        )


def ways(
    model: Qwen3Next,
    verifier: VerifyingModel[SequenceState],
    *,
    watch: Callable[[Step], None] = lambda _step: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[DraftMode, Drafting[Any] | None]:
    """The draft modes of a model, each with its Drafting (None: no drafts). `verifier` verifies the drafts: the
    model itself, or a stand-in that a bench measures. The modes share their drafters, for one generation runs
    at a time."""
    lookup = LookupDrafter()
    config = model.config
    narrow = DEEPEST + 1 if on_cpu() else narrow_passes(config.num_attention_heads, config.num_key_value_heads)
    deepest = max(1, min(_DEEPEST_MTP, narrow - 1))
    mtp: list[Drafter] = [MtpDrafter(model, deepest)] if model.mtp is not None else []
    asked_for = Controller(may_stop=False)
    possible: dict[DraftMode, Drafting[Any] | None] = {
        "none": None,
        "lookup": Drafting(verifier, [lookup], asked_for, clock, watch),
    }
    dflash: list[Drafter] = [DFlashDrafter(model)] if model.dflash is not None else []
    if mtp:
        possible["mtp"] = Drafting(verifier, mtp, asked_for, clock, watch)
    if dflash:
        possible["dflash"] = Drafting(verifier, dflash, asked_for, clock, watch)
    both: list[Drafter] = [MtpDrafter(model, min(deepest, _BESIDE_LOOKUP), lookup)] if mtp else []
    possible["auto"] = Drafting(verifier, [lookup, *both, *dflash], Controller(narrow=narrow), clock, watch)
    return possible


def load(
    directory: Path,
    *,
    dtype: DType | None = None,
    adapter: Path | None = None,
    adapters: Path | None = None,
    kv_bits: KVBits | None = None,
    store: PrefixStore | None = None,
    expert_slots: int | None = None,
    expert_use: Mapping[str, Frequencies] | None = None,
    widened: bool = False,
    drafter: Path | None = None,
    progress: Progress | None = None,
) -> LoadedModel:
    """Loads the model of a checkpoint directory.

    `dtype`: of activations (default: see `device.default_dtype`); `adapter`: the directory of a LoRA or DoRA
    adapter to begin with, `adapters` a folder of others that it can be given; `kv_bits`: of keys
    and values (None: exact); `store`: keeps states between generations. `expert_slots`: experts of each
    layer in memory (None: all), at first the most used by the frequencies `expert_use`. `widened`: as of
    load_qwen3_next. `drafter`: the directory of a DFlash drafter. Raises ConfigError or CheckpointError.
    """
    prepare_mlx()
    name = architecture(directory)
    if name not in ARCHITECTURES:
        if kv_bits is not None:
            raise ConfigError(
                f"Keys and values of a {name} model cannot be kept at {kv_bits} bits: leave that out."
            )
        if drafter is not None:
            raise ConfigError(f"A DFlash drafter cannot draft for a {name} model: leave --drafter out.")
        return _load_with_mlx_lm(directory, name, dtype, adapter)
    checkpoint = open_checkpoint(directory)
    # Read first: it is small, and its errors should not come after minutes of loading weights.
    updates = {} if adapter is None else read_adapter(adapter, checkpoint.config)
    residency: Residency | None = None
    if expert_slots is not None and expert_slots < checkpoint.config.num_experts:
        check_experts(updates, resident=False)
        compute = getattr(mx, dtype or default_dtype(checkpoint.config.dtype))
        residency = Residency(checkpoint, expert_slots, compute, frequencies=expert_use)
    favourites = 0 if residency is None else residency.favourite_bytes
    others = 0

    def report(done: int, total: int) -> None:
        nonlocal others
        others = total
        if progress is not None:
            progress(done, total + favourites)

    model = load_qwen3_next(
        checkpoint,
        dtype=dtype,
        kv_bits=kv_bits,
        residency=residency,
        widened=widened,
        progress=report,
    )
    if residency is not None:
        residency.warm(lambda done: report(others + done, others))
    if drafter is not None:
        model.dflash = load_dflash(drafter, model, drafter_packing(checkpoint.quantization))
    choice = choose_delta_step(model.config, model.dtype)
    use_delta_step(model, choice)
    model.compiles = _compiles(residency)
    kept = None if store is None else StoredStates(model, store)
    given = Adapters(model, kept, first=adapter, folder=adapters)
    given.use(given.default)
    return LoadedModel(
        directory,
        name,
        "tidegate",
        model,
        kept or NothingKept(model),
        residency=residency,
        adapters=given,
        delta_step=choice.words,
    )


def _compiles(residency: Residency | None) -> bool:
    """Whether the graphs of a model's layers are compiled."""
    if residency is not None:
        # Experts that are not all in memory are looked for on the host, in the middle of a layer.
        return False
    fault = compile_without_fusing() if on_cpu() else None
    if fault is not None:
        _log.warning("The graph of a step is built anew for every token, which is slower: %s.", fault)
    return fault is None


def _load_with_mlx_lm(directory: Path, name: str, dtype: DType | None, adapter: Path | None) -> LoadedModel:
    from mlx_model.engine.mlx_lm_model import LACKS, LastConversation, load_mlx_lm  # noqa: PLC0415 (mlx-lm loads slowly)

    compute = "float32" if dtype is None and on_cpu() else dtype
    model = load_mlx_lm(directory, name, dtype=getattr(mx, compute) if compute else None, adapter=adapter)
    return LoadedModel(directory, name, "mlx-lm", model, LastConversation(model), LACKS)


def load_qwen3_next(
    checkpoint: Checkpoint,
    *,
    dtype: DType | None = None,
    kv_bits: KVBits | None = None,
    residency: Residency | None = None,
    widened: bool = False,
    for_gradients: bool = False,
    progress: Progress | None = None,
) -> Qwen3Next:
    """The model of an opened checkpoint, with all experts in memory or in the banks of a `residency` of the
    same dtype. `widened`: packed weights are unpacked into the dtype of activations, all but those in banks.
    `for_gradients`: nothing is evaluated while a graph is built, where what was evaluated would be held longer.

    Raises CheckpointError, or ConfigError where this device cannot compute in `dtype`.
    """
    compute: mx.Dtype = getattr(mx, dtype or default_dtype(checkpoint.config.dtype))
    if compute != mx.float32 and on_cpu() and _has_plain_experts(checkpoint):
        raise ConfigError(
            f"On a CPU, MLX multiplies unpacked experts in float32 only, not in {dtype}: "
            "leave the dtype out, or convert the checkpoint to 4 or 8 bits."
        )
    tensors: dict[str, mx.array] = {}
    stored = checkpoint.tensors(progress, routed=residency is None)
    if widened:
        stored = unpacked_tensors(stored, checkpoint.quantization)
    for name, tensor in stored:
        tensors[name] = in_dtype(name, tensor, compute)
        # One at a time, so that only one tensor is in memory twice.
        mx.eval(tensors[name])
    banks = {} if residency is None else residency.banks
    by_blas = compute == mx.float32 and blas_in_use() is not None and not for_gradients
    parameters = Parameters(tensors, checkpoint.quantization, banks=banks, by_blas=by_blas)
    return Qwen3Next(checkpoint.config, parameters, compute, kv_bits)


def drafter_packing(quantization: Mapping[str, Quantization]) -> Quantization | None:
    """How a drafter is packed beside a model of this packing: not at all beside a plain model, nor on a CPU,
    which multiplies packed matrices more slowly than plain ones."""
    return DRAFTER_PACKING if quantization and not on_cpu() else None


def load_dflash(directory: Path, model: Qwen3Next, packing: Quantization | None = None) -> DFlash:
    """The DFlash drafter of a directory for a model. Raises ConfigError or CheckpointError."""
    stored = read_drafter(directory, model.config, model.dtype, packing)
    parameters = Parameters(stored.tensors, stored.quantization)
    return DFlash(stored.config, parameters, model.dtype, stored.name)


def in_dtype(name: str, tensor: mx.array, dtype: mx.Dtype) -> mx.array:
    """A canonical tensor in the dtype of activations; packed ones and _KEPT_EXACT are returned unchanged."""
    if name.endswith(_KEPT_EXACT) or not mx.issubdtype(tensor.dtype, mx.floating):
        return tensor
    return tensor.astype(dtype)


def _has_plain_experts(checkpoint: Checkpoint) -> bool:
    return any(
        isinstance(item, StoredProjection)
        and item.projection.experts
        and any(matrix.quantization is None for matrix in item.matrices)
        for item in checkpoint.stored
    )
