"""The memory check of every subcommand that loads a model, before it loads it."""

import argparse
import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from mlx_model.commands.shared.options import drafter_directory
from mlx_model.commands.shared.sizes import count
from mlx_model.config.dflash_config import DFlashConfig
from mlx_model.config.family import ARCHITECTURES
from mlx_model.config.model_config import architecture
from mlx_model.engine.adapters import MTP_FOLDER
from mlx_model.engine.loading import drafter_packing
from mlx_model.errors import EngineError, RequestError
from mlx_model.memory.advice import gigabytes, verdict
from mlx_model.memory.device import arithmetic, default_dtype, gains_by_widening, set_memory_limits
from mlx_model.memory.footprint import stored_packing
from mlx_model.memory.machine import Machine, this_machine
from mlx_model.memory.plan import (
    AdapterSize,
    DrafterSize,
    MemoryPlan,
    Model,
    Wishes,
    margin,
    plan_memory,
    widen_if_it_fits,
)
from mlx_model.weights.adapter import adapter_bytes, is_adapter
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint
from mlx_model.weights.drafter import drafter_bytes

_log = logging.getLogger(__name__)

_WIDENED = "Quantized weights are widened to float32, which the CPU multiplies faster."


class DoesNotFit(EngineError):
    """The model needs more memory than this machine has for it; says how much, and what would fit."""


def add_memory(parser: argparse.ArgumentParser, *, slots: bool) -> None:
    """--force and, with `slots`, --expert-slots."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="load a model that does not fit; the system may slow down, end this or other programs, or restart",
    )
    if slots:
        parser.add_argument(
            "--expert-slots",
            type=count,
            metavar="N",
            help="keep N experts of each layer in memory and read the others from disk when they are needed "
            "(default: all, or as many as fit)",
        )


def settle_memory(
    arguments: argparse.Namespace,
    wishes: Wishes,
    *,
    all_logits: bool = False,
    machine: Machine | None = None,
) -> MemoryPlan | None:
    """The plan for the model that the options of `options.add_model` and `add_memory` name, with MLX's limits
    set to it; None where mlx-lm runs the model. Raises DoesNotFit unless --force is given, and EngineError."""
    machine = machine or this_machine()
    name = architecture(arguments.model)
    slots: int | None = getattr(arguments, "expert_slots", None)
    if name not in ARCHITECTURES:
        if slots is not None:
            raise RequestError(
                f"The experts of a {name} model cannot be read from disk: leave --expert-slots out."
            )
        _check_weights_fit(arguments, machine)
        return None
    checkpoint = open_checkpoint(arguments.model)
    config = checkpoint.config
    if slots is not None and slots < config.num_experts_per_tok:
        raise RequestError(
            f"--expert-slots is {slots}; each token goes to {config.num_experts_per_tok} experts of a layer, "
            "so as many must fit."
        )
    dtype = arguments.dtype or default_dtype(config.dtype)
    model = Model(
        config,
        stored_packing(checkpoint),
        arithmetic(dtype, config),
        arguments.kv_bits,
        mtp=checkpoint.has_mtp,
        all_logits=all_logits,
        drafter=_drafter_size(arguments, checkpoint, dtype),
        adapter=_adapter_size(arguments, checkpoint, dtype),
    )
    wishes = replace(wishes, expert_slots=slots)
    plan = plan_memory(model, machine, wishes)
    sentence = verdict(model, machine, wishes, plan)
    if not plan.fits and not arguments.force:
        raise DoesNotFit(f"{sentence} (--force loads it all the same.)")
    if not plan.fits or (plan.expert_slots is not None and slots is None):
        _log.warning("%s", sentence)
    if wishes.context is None and plan.context < config.context_length:
        whole = f"{config.context_length:,}"
        _log.warning("The context is %s tokens; the model's %s would not fit.", f"{plan.context:,}", whole)
    if checkpoint.quantization and gains_by_widening(dtype):
        plan = widen_if_it_fits(plan, wishes)
        _log.info(
            "%s",
            _WIDENED if plan.model.widened else "Quantized weights stay packed: widened, they would not fit.",
        )
    set_memory_limits(plan)
    return plan


def _drafter_size(arguments: argparse.Namespace, checkpoint: Checkpoint, dtype: str) -> DrafterSize:
    directory = drafter_directory(arguments)
    if directory is None:
        return DrafterSize(0, 0, 0)
    config = DFlashConfig.from_directory(directory)
    float_bytes = 4 if dtype == "float32" else 2
    return DrafterSize(
        drafter_bytes(directory, float_bytes, drafter_packing(checkpoint.quantization)),
        config.cache_bytes(float_bytes),
        # The outputs of the chosen layers, and the same side by side.
        2 * len(config.target_layer_ids) * config.hidden_size * float_bytes,
    )


def _adapter_size(arguments: argparse.Namespace, checkpoint: Checkpoint, dtype: str) -> AdapterSize:
    """The largest adapter that the model may have on: the one that is named, or any that requests may name.
    Others that are in memory are given back when that is short."""
    named: Path | None = getattr(arguments, "adapter", None)
    folder: Path | None = getattr(arguments, "adapters", None)
    float_bytes = 4 if dtype == "float32" else 2
    found = [] if named is None else [(named, adapter_bytes(named, checkpoint.config, float_bytes))]
    for directory in sorted(folder.iterdir()) if folder is not None and folder.is_dir() else ():
        # What is damaged is no matter until a request names it.
        with suppress(EngineError):
            if is_adapter(directory):
                found.append((directory, adapter_bytes(directory, checkpoint.config, float_bytes)))
    brings_mtp = any(size and (directory / MTP_FOLDER).is_dir() for directory, size in found)
    return AdapterSize(max((size for _, size in found), default=0), mtp=checkpoint.has_mtp and brings_mtp)


def _check_weights_fit(arguments: argparse.Namespace, machine: Machine) -> None:
    """For models that mlx-lm runs, which have no plan: their weights must at least fit. Raises DoesNotFit."""
    weights = sum(file.stat().st_size for file in arguments.model.glob("*.safetensors"))
    budget = machine.usable - margin(machine)
    if weights > budget and not arguments.force:
        raise DoesNotFit(
            f"It does not fit: its weights are {gigabytes(weights)} and a model may use {gigabytes(budget)} "
            "here. (--force loads it all the same.)"
        )
