"""python -m mlx_model COMMAND: runs a subcommand of `commands`, and reports its errors."""

import argparse
import importlib
import io
import os
import platform
import sys
from collections.abc import Sequence

from mlx_model.errors import EngineError
from mlx_model.memory.blas import fast_blas
from mlx_model.memory.device import set_buffer_limits

COMMANDS = {
    "serve": "answer OpenAI Chat Completions on a Unix socket or a port",
    "generate": "continue a prompt",
    "score": "log-probabilities and perplexity of given tokens",
    "convert": "write a checkpoint in the engine's own layout, quantized by a recipe",
    "train-mtp": "fit an MTP layer to a checkpoint over your own code, for drafting",
    "tune": "train an adapter over your own code and conversations",
    "train-dflash": "train a DFlash drafter for a checkpoint, over your own code or chats",
    "practice": "make the small model of the practice range",
    "info": "sizes, memory and the roof of a checkpoint or config",
    "fit": "what a model holds in memory, here or on another machine, and what would make it fit",
    "bench": "measure speed on this machine",
    "cache": "list, verify or clear the snapshots kept on disk",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one subcommand and returns its exit status. An EngineError is one sentence on standard error, and
    exit status 2 unless it has another."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # The engine reads local files only: no library may download anything, or send telemetry.
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal's encoding may lack characters that a model writes.
        sys.stdout.reconfigure(errors="backslashreplace")
    program = os.environ.get("TIDEGATE_PROGRAM", "python -m mlx_model")
    parser = argparse.ArgumentParser(prog=program, description="Tidegate's engine.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if given[:1] == [name]:
            # Only the chosen command is imported: most of them bring in mlx.
            set_buffer_limits()
            try:
                fast_blas()
            except EngineError as error:
                print(f"mlx_model {name}: {error}", file=sys.stderr)
                return error.exit_status
            try:
                module = importlib.import_module(f"mlx_model.commands.{name.replace('-', '_')}")
            except ImportError as error:
                if not _is_about_mlx(error):
                    raise
                print(f"mlx_model {name}: {_how_to_get_mlx()}", file=sys.stderr)
                return 2
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    chosen = parser.parse_args(given)
    try:
        status = int(chosen.run(chosen))
        sys.stdout.flush()
    except EngineError as error:
        print(f"mlx_model {chosen.command}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            where = f" ({error.filename})" if error.filename else ""
            print(f"mlx_model {chosen.command}: {error.strerror or error}{where}", file=sys.stderr)
        # The reader of our output has gone, or takes no more: flushing it at exit would fail too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _is_about_mlx(error: ImportError) -> bool:
    return (error.name or "").partition(".")[0] == "mlx" or "libmlx" in str(error)


def _how_to_get_mlx() -> str:
    if sys.platform == "darwin" and platform.machine() != "arm64":
        return (
            "this Python is an Intel one, and MLX needs one for Apple silicon: install that and run make again"
        )
    package = "mlx" if sys.platform == "darwin" else "mlx[cpu]"
    return f"MLX is not installed for this machine: {sys.executable} -m pip install '{package}' does it"


if __name__ == "__main__":
    sys.exit(main())
