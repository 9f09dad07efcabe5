"""serve: answer OpenAI Chat Completions on a Unix socket or a port."""

import argparse
import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.commands.shared.cache_options import add_cache, open_engine_cache, snapshot_memory
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import add_draft, add_model, drafter_directory
from mlx_model.commands.shared.sizes import count
from mlx_model.config.family import text_fields
from mlx_model.config.model_config import read_json_object
from mlx_model.decode.request import GeneratorPort
from mlx_model.engine.adapted import AdaptedGenerator
from mlx_model.engine.adapters import Adapters, default_adapter_folder
from mlx_model.engine.expert_use import UseRecord, read_expert_use
from mlx_model.engine.generation_config import published_sampling
from mlx_model.engine.guarded import GuardedGenerator
from mlx_model.engine.kept import EngineCache
from mlx_model.engine.loading import LoadedModel, load
from mlx_model.engine.reserves import engine_reserves
from mlx_model.engine.upkeep import DEFAULT_KEEP_ALIVE, Upkeep
from mlx_model.errors import RequestError
from mlx_model.memory.device import blas_report, default_dtype, on_cpu
from mlx_model.memory.graphs import compile_without_fusing
from mlx_model.memory.machine import available_bytes
from mlx_model.memory.plan import Wishes
from mlx_model.memory.relief import Relief
from mlx_model.server.guard import is_origin
from mlx_model.server.run import ServerOptions, run_server
from mlx_model.server.scheduler import ServedModel
from mlx_model.state.disk.folder import EXPERT_USE
from mlx_model.weights.experts.residency import Residency

_log = logging.getLogger(__name__)

_ENVIRONMENT = """\
environment variables that MLX reads on macOS; what they are worth was not measured on a Mac:
  MLX_MAX_OPS_PER_BUFFER, MLX_MAX_MB_PER_BUFFER
      how much work the GPU is given at once (unless you set them: what bench tune --keep found, else 1000 each
      on M1 to M4; empty: MLX's own)
  MLX_METAL_RESIDENCY_REFRESH_INTERVAL_MS
      how often MLX itself asks for wired memory to stay at hand; try it with --keep-alive 0
  MLX_RESIDENCY_SET_MAX_PCT
      how much wired memory is asked for together, in percent of what the GPU should use; 0: all

environment variable on Linux without a GPU:
  TIDEGATE_BLAS
      the library that multiplies matrices; "reference": MLX's own, which is slow, but with it drafts change no
      token even where two are nearly as likely (default: OpenBLAS, MKL or BLIS, where there is one)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _ENVIRONMENT
    defaults = ServerOptions()
    add_model(parser)
    parser.add_argument(
        "--adapters",
        type=Path,
        metavar="DIR",
        default=default_adapter_folder(),
        help="a folder of adapters, by whose names requests may choose (default: %(default)s)",
    )
    add_cache(parser)
    add_memory(parser, slots=True)
    add_draft(parser)
    parser.add_argument(
        "--context",
        type=count,
        metavar="N",
        help="tokens that a prompt and its reply may have together (default: what the model and memory allow)",
    )
    parser.add_argument(
        "--keep-alive",
        type=float,
        metavar="SECONDS",
        help="period of tiny operations that keep weights at hand for three minutes after a reply, or after a "
        "key was pressed in the workspace; 0: none "
        f"(default: {DEFAULT_KEEP_ALIVE:g} on a GPU, 0 on a CPU)",
    )
    parser.add_argument("--socket", type=Path, metavar="PATH", help="listen on a Unix socket")
    parser.add_argument("--host", metavar="H", help=f"listen on this address (default: {defaults.host})")
    parser.add_argument("--port", type=int, metavar="P", help="listen on this port; 0 takes a free one")
    parser.add_argument("--api-key", metavar="KEY", help="what clients must show; needed beyond loopback")
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="answer web pages of this origin, such as http://localhost:3000; may be given several times",
    )
    parser.add_argument(
        "--idle-exit", type=float, metavar="SECONDS", help="end after so long without any request"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until a signal, or idleness, ends it. Raises EngineError."""
    options = _options(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if on_cpu():
        # MLX looks for g++ once, and SIGINT is ignored meanwhile: here, and not in the middle of a reply.
        compile_without_fusing()
    return run_server(options, lambda report: _load(arguments, report))


def _options(arguments: argparse.Namespace) -> ServerOptions:
    defaults = ServerOptions()
    on_port = arguments.host is not None or arguments.port is not None
    if on_port == (arguments.socket is not None):
        raise RequestError("Say where to listen: either --socket PATH, or --port P with --host H if need be.")
    if arguments.port is not None and not 0 <= arguments.port <= 65535:
        raise RequestError(f"{arguments.port} is no port; ports go from 0 to 65535.")
    if arguments.idle_exit is not None and not 0 < arguments.idle_exit < float("inf"):
        raise RequestError("--idle-exit takes a number of seconds above 0.")
    if arguments.keep_alive is not None and not 0 <= arguments.keep_alive < float("inf"):
        raise RequestError("--keep-alive takes a number of seconds, 0 for none.")
    if arguments.api_key is not None and not arguments.api_key.strip():
        raise RequestError("--api-key is empty; an empty key protects nothing.")
    wrong = next((origin for origin in arguments.allow_origin if not is_origin(origin)), None)
    if wrong is not None:
        raise RequestError(
            f"{wrong} is no origin: that is scheme://host or scheme://host:port, without a path."
        )
    return ServerOptions(
        socket=arguments.socket,
        host=arguments.host or defaults.host,
        port=defaults.port if arguments.port is None else arguments.port,
        api_key=arguments.api_key,
        idle_exit=arguments.idle_exit,
        origins=tuple(arguments.allow_origin),
    )


def _load(arguments: argparse.Namespace, report: Callable[[float], None]) -> ServedModel:
    """Loads the model; called on the engine's thread. `report` is called with progress from 0 to 1."""

    def progress(done: int, total: int) -> None:
        report(done / max(total, 1))

    encoder = PromptEncoder.from_directory(arguments.model)
    sampling = published_sampling(arguments.model)
    fixed = snapshot_memory(arguments)
    blas = blas_report()
    if blas is not None:
        _log.info("BLAS: %s", blas)
    plan = settle_memory(arguments, Wishes(arguments.context, snapshots=fixed))
    with ExitStack() as stack:
        cache = open_engine_cache(arguments, plan.snapshots) if plan is not None else None
        if cache is not None:
            stack.callback(cache.close)
            encoder = PromptEncoder(
                encoder.tokenizer, encoder.template, cache.replies, knows_tools=encoder.knows_tools
            )
        use = cache.folder / EXPERT_USE if cache is not None and cache.folder is not None else None
        loaded = load(
            arguments.model,
            dtype=arguments.dtype,
            adapter=arguments.adapter,
            adapters=arguments.adapters,
            kv_bits=arguments.kv_bits,
            store=cache.store if cache is not None else None,
            expert_slots=plan.expert_slots if plan is not None else None,
            expert_use=read_expert_use(use) if use is not None else None,
            widened=plan is not None and plan.model.widened,
            drafter=drafter_directory(arguments),
            progress=progress,
        )
        stack.callback(loaded.close)
        if loaded.delta_step is not None:
            _log.info("DeltaNet step: %s", loaded.delta_step)
        residency = loaded.residency
        if residency is not None:
            stack.callback(residency.close)
        record = UseRecord(use, residency) if use is not None and residency is not None else None
        if record is not None:
            stack.callback(record.save)
        adapters = loaded.adapters
        store = cache.store if cache is not None else None
        relief = Relief(engine_reserves(store, residency, adapters=adapters))
        upkeep = Upkeep(
            relief, _keep_alive(arguments), record=record.save_if_due if record is not None else lambda: None
        )
        plain: GeneratorPort[Any] = loaded.generator(
            context_length=plan.context if plan is not None else arguments.context,
            chunk=plan.chunk if plan is not None else None,
            draft=arguments.draft,
        )
        generator = plain if adapters is None else AdaptedGenerator(plain, adapters)
        details = _details(loaded, arguments) | _prefixes(cache)
        if plan is not None and plan.model.widened:
            details["quantization"] += ", widened to float32"
        return ServedModel(
            name=arguments.model.resolve().name,
            generator=GuardedGenerator(
                generator,
                relief,
                residency,
                # With --force the user has accepted that memory may run short.
                request_bytes=None if plan is None or arguments.force else plan.request_bytes,
                available=lambda: available_bytes() + loaded.held_bytes,
                fits=plan.holds if plan is not None else lambda _: True,
            ),
            encoder=encoder,
            grammar=ToolGrammar(encoder.tokenizer, loaded.model.vocabulary),
            sampling=sampling,
            adapters=adapters,
            details=lambda: {**details, **_experts(residency), **_adapter(adapters)},
            keeps_prefixes=cache is not None and cache.folder is not None,
            settle=cache.store.flush if cache is not None else lambda: None,
            rest=upkeep.rest,
            memory=lambda: {**relief.report(), **_slots(residency)},
            close=stack.pop_all().close,
        )


def _keep_alive(arguments: argparse.Namespace) -> float:
    """The period in seconds, 0 for none."""
    if arguments.keep_alive is None:
        return 0.0 if on_cpu() else DEFAULT_KEEP_ALIVE
    return float(arguments.keep_alive)


def _prefixes(cache: EngineCache | None) -> dict[str, str]:
    """Where the states of prompts are kept, for display."""
    if cache is None:
        return {}
    return {"prefixes": "kept on disk" if cache.folder is not None else "kept in memory"}


def _slots(residency: Residency | None) -> dict[str, int]:
    """The expert slots of each layer, where not all experts are in memory."""
    return {} if residency is None else {"expert_slots": residency.slots}


def _adapter(adapters: Adapters | None) -> dict[str, str]:
    """The adapter that the model has on, for display."""
    return {"adapter": adapters.current} if adapters is not None and adapters.current else {}


def _experts(residency: Residency | None) -> dict[str, str]:
    """The expert slots, for display."""
    return {} if residency is None else {"experts": f"{residency.slots} of each layer in memory"}


def _details(loaded: LoadedModel, arguments: argparse.Namespace) -> dict[str, str]:
    """Facts about the running model, by name, for display."""
    config = text_fields(read_json_object(loaded.directory / "config.json"))
    stored = str(config.get("torch_dtype") or config.get("dtype") or "float32")
    quantization = config.get("quantization") or config.get("quantization_config") or {}
    bits = quantization.get("bits") if isinstance(quantization, dict) else None
    details = {
        "architecture": loaded.architecture,
        "engine": loaded.runner,
        "dtype": arguments.dtype or default_dtype(stored),
        "quantization": f"{bits} bits" if bits else "none",
        "drafter": loaded.drafter(arguments.draft),
    }
    if loaded.delta_step is not None:
        details["DeltaNet step"] = loaded.delta_step
    blas = blas_report()
    if blas is not None:
        details["BLAS"] = blas
    if arguments.kv_bits is not None:
        details["keys and values"] = f"{arguments.kv_bits} bits"
    if arguments.adapter is not None and loaded.adapters is None:
        details["adapter"] = arguments.adapter.resolve().name
    if loaded.lacks:
        details["without"] = ", ".join(loaded.lacks)
    return details
