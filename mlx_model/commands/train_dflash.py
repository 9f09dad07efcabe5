"""train-dflash: a DFlash drafter trained for a model, over the user's own code and chats."""

import argparse
from pathlib import Path

from rich.console import Console

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.commands.shared.chats import add_chats, joined_chats
from mlx_model.commands.shared.memory_check import add_memory
from mlx_model.commands.shared.training import add_schedule, check_schedule, run_training, settle_training
from mlx_model.config.dflash_config import DFlashConfig
from mlx_model.errors import RequestError
from mlx_model.memory.footprint import stored_packing
from mlx_model.train.corpus import Corpus, corpus_of, read_corpus
from mlx_model.train.dflash import DrafterTraining, TrainedDrafter, drafter_config, train_dflash
from mlx_model.train.forecast import drafter_fitting_bytes
from mlx_model.train.steps import Schedule
from mlx_model.weights.checkpoint import Checkpoint

_MASKS = ("<|fim_pad|>", "<|endoftext|>")
"""Control tokens that no chat has in it, one of which stands in a block where a token is to be proposed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.epilog = (
        "The result is a drafter in its published form: give it to serve or the workspace with --drafter, or "
        "lay it into the checkpoint as the folder dflash. An interrupted training goes on when the same "
        "command is given again."
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the checkpoint to draft for")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--data",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="text files, and folders with all text files in them that no .gitignore names",
    )
    add_chats(what)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the drafter to make")
    parser.add_argument("--layers", type=int, default=2, metavar="N", help="of the drafter (default 2)")
    parser.add_argument(
        "--block", type=int, default=8, metavar="N", help="tokens of a block, the newest included (default 8)"
    )
    add_schedule(parser)
    add_memory(parser, slots=True)
    parser.set_defaults(dtype=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Trains; 130 when interrupted. Raises EngineError."""
    check_schedule(arguments)
    if not 1 <= arguments.layers <= 64:
        raise RequestError(f"--layers is {arguments.layers}; a drafter has 1 to 64.")
    if not 2 <= arguments.block <= 64:
        raise RequestError(f"--block is {arguments.block}; a block has 2 to 64 tokens.")
    if arguments.sequence_length < 2 * arguments.block:
        raise RequestError(
            f"--sequence-length is {arguments.sequence_length}, too short for blocks of {arguments.block}."
        )
    schedule = Schedule(arguments.steps, arguments.batch, arguments.learning_rate, arguments.seed)
    tokenizer = Tokenizer.from_directory(arguments.model)
    mask = next((tokenizer.control_tokens[name] for name in _MASKS if name in tokenizer.control_tokens), 0)
    training = DrafterTraining(
        model=arguments.model,
        read=lambda: _corpus(arguments, tokenizer),
        data=[str(path.resolve()) for path in arguments.data or [arguments.chats]],
        out=arguments.out,
        schedule=schedule,
        length=arguments.sequence_length,
        layers=arguments.layers,
        block=arguments.block,
        mask_token=mask,
    )

    def needed(checkpoint: Checkpoint, float_bytes: int) -> int:
        drafter = DFlashConfig.parse(drafter_config(checkpoint.config, training), arguments.out)
        packing = stored_packing(checkpoint)
        length = arguments.sequence_length
        return drafter_fitting_bytes(checkpoint.config, drafter, packing, length, float_bytes)

    means = settle_training(arguments, "the drafter", needed)
    return run_training(arguments, lambda report: train_dflash(training, means, report), _tell)


def _corpus(arguments: argparse.Namespace, tokenizer: Tokenizer) -> Corpus:
    length, most = arguments.sequence_length, arguments.steps * arguments.batch
    if arguments.chats is not None:
        tokens = joined_chats(arguments.chats, arguments.model)
        return corpus_of(tokens, length=length, most=most, held_out=arguments.held_out)
    return read_corpus(
        arguments.data, tokenizer, length=length, most=most, held_out=arguments.held_out, seed=arguments.seed
    )


def _tell(console: Console, trained: TrainedDrafter) -> None:
    console.print(f"{trained.directory}: {trained.steps} steps on {trained.tokens:,} tokens", soft_wrap=True)
    shares = ", ".join(f"{share:.0%}" for share in trained.agreed)
    console.print(
        f"drafts that are the model's own choice, of {trained.held_out_tokens:,} tokens held out: {shares}; "
        f"{trained.in_a_row:.1f} in a row",
        soft_wrap=True,
    )
