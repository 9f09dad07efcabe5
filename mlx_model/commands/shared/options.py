"""Options and inputs that several subcommands share."""

import argparse
from pathlib import Path
from typing import get_args

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.decode.request import DraftMode
from mlx_model.engine.adapters import adapter_directory
from mlx_model.engine.loading import LoadedModel, load
from mlx_model.errors import RequestError
from mlx_model.memory.plan import MemoryPlan
from mlx_model.weights.drafter import BESIDE

_DTYPES = ("float32", "bfloat16", "float16")


def add_model(parser: argparse.ArgumentParser) -> None:
    """--model, --adapter, --dtype, --kv-bits."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument(
        "--adapter",
        type=adapter_directory,
        metavar="ADAPTER",
        help="a LoRA or DoRA adapter, as mlx-lm writes it: a directory, or a name in the folder of adapters",
    )
    parser.add_argument(
        "--dtype",
        choices=_DTYPES,
        help="dtype to compute in (default: the checkpoint's own on a GPU, float32 on a CPU)",
    )
    parser.add_argument(
        "--kv-bits",
        type=int,
        choices=(8,),
        help="keep keys and values at 8 bits: half the memory in long contexts, nearly the same replies",
    )


def add_draft(parser: argparse.ArgumentParser) -> None:
    """--draft and --drafter."""
    parser.add_argument(
        "--draft",
        choices=get_args(DraftMode),
        default="auto",
        help="where drafts come from, which make replies faster and change no token but at near ties: the text "
        "so far (lookup), the checkpoint's MTP layer, a DFlash drafter, or whatever pays just now "
        "(default: auto)",
    )
    add_drafter(parser)


def add_drafter(parser: argparse.ArgumentParser) -> None:
    """--drafter."""
    parser.add_argument(
        "--drafter",
        type=Path,
        metavar="DIR",
        help="a DFlash drafter made for this model "
        f"(default: {BESIDE}/ in the checkpoint directory, where it is there)",
    )


def drafter_directory(arguments: argparse.Namespace) -> Path | None:
    """The DFlash drafter to load: the one that `add_drafter`'s option names, else the one beside the
    checkpoint; None where there is none, and for commands that do not draft."""
    if not hasattr(arguments, "drafter"):
        return None
    named: Path | None = arguments.drafter
    beside: Path = arguments.model / BESIDE
    return named or (beside if beside.is_dir() else None)


def load_model(arguments: argparse.Namespace, plan: MemoryPlan | None) -> LoadedModel:
    """Loads the model that `add_model`'s options name, with the plan's expert slots, and its weights
    widened where it says so. Raises EngineError."""
    return load(
        arguments.model,
        dtype=arguments.dtype,
        adapter=arguments.adapter,
        kv_bits=arguments.kv_bits,
        expert_slots=None if plan is None else plan.expert_slots,
        widened=plan is not None and plan.model.widened,
        drafter=drafter_directory(arguments),
    )


def optional_tokenizer(directory: Path) -> Tokenizer | None:
    """The tokenizer of a checkpoint; None where there is none. Raises CheckpointError where it is
    unreadable."""
    return Tokenizer.from_directory(directory) if (directory / "tokenizer.json").exists() else None


def prompt_tokens(ids: str | None, text: str | None, directory: Path) -> tuple[int, ...]:
    """Tokens given as ids (`1,2,3`) or as text, for which the checkpoint must have a tokenizer.

    Raises RequestError or CheckpointError.
    """
    if ids is None:
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise RequestError("The prompt is not UTF-8 text.") from None
        return tuple(Tokenizer.from_directory(directory).encode(text or ""))
    try:
        return tuple(int(part) for part in ids.split(","))
    except ValueError:
        raise RequestError(f"{ids[:40]!r} is no list of token ids; write them as 1,2,3.") from None


def read_text(path: Path | None) -> str | None:
    """The content of a UTF-8 text file; None where `path` is None. Raises RequestError."""
    try:
        return None if path is None else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{path} cannot be read as text: {error}.") from None
