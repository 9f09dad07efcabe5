"""practice: makes the small model of the practice range: tokenizer, first weights, training, checkpoint.

Everything but the command line is in mlx_model.practice, which needs PyTorch and is imported when a step runs.
"""

# ruff: noqa: PLC0415 (PyTorch takes seconds to import, and may not be there)

import argparse
import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mlx_model.commands.shared.sizes import readable_size
from mlx_model.errors import ConfigError, RequestError

_SHARES = {"dense": 4.0, "train": 1.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    run = argparse.ArgumentParser(add_help=False)
    run.add_argument(
        "--run", dest="folder", type=Path, required=True, metavar="DIR", help="the training's folder"
    )

    tokenizer = steps.add_parser("tokenizer", parents=[run], help="make a tokenizer from transcripts")
    tokenizer.add_argument(
        "--data", type=Path, required=True, nargs="+", metavar="FILE", help="JSONL transcripts"
    )
    tokenizer.add_argument("--vocabulary", type=int, default=1536, metavar="N", help="(default 1536)")
    tokenizer.set_defaults(work=_tokenizer)

    init = steps.add_parser("init", parents=[run], help="make the weights to begin with")
    init.add_argument(
        "--tokenizer",
        type=Path,
        metavar="DIR",
        help="take tokenizer.json from this checkpoint (default: the one in --run)",
    )
    init.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")
    init.set_defaults(work=_init)

    train = steps.add_parser("train", parents=[run], help="train; goes on where an earlier training was")
    train.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of JSONL transcripts")
    train.add_argument(
        "--tokens", type=float, required=True, metavar="M", help="end at this many million tokens"
    )
    train.add_argument("--muon-rate", type=float, default=0.008, metavar="X", help="(default 0.008)")
    train.add_argument("--adam-rate", type=float, default=0.002, metavar="X", help="(default 0.002)")
    train.add_argument(
        "--decay",
        type=float,
        default=0.4,
        metavar="SHARE",
        help="of the tokens, at a falling rate (default 0.4)",
    )
    train.add_argument(
        "--batch-tokens", type=int, default=3072, metavar="N", help="in a batch of one process (default 3072)"
    )
    train.add_argument(
        "--cut",
        type=float,
        default=0.8,
        metavar="SHARE",
        help="of the samples, cut to what leads to their edits (default 0.8)",
    )
    train.add_argument(
        "--share",
        type=_share,
        action="append",
        default=[],
        metavar="NAME=WEIGHT",
        help="how much of the data whose files begin with NAME (default dense=4, train=1)",
    )
    train.add_argument("--seed", type=int, default=0, metavar="N", help="order of the data (default 0)")
    train.add_argument("--processes", type=int, metavar="N", help="(default: one a core; 1 on a GPU)")
    train.add_argument("--no-compile", action="store_true", help="start at once, and run about a third slower")
    train.set_defaults(work=_train)

    evaluate = steps.add_parser("evaluate", parents=[run], help="whole edits right, by kind of bug")
    evaluate.add_argument(
        "--data", type=Path, required=True, nargs="+", metavar="FILE", help="JSONL transcripts"
    )
    evaluate.add_argument(
        "--limit", type=int, default=200, metavar="N", help="transcripts a file (default 200)"
    )
    evaluate.add_argument("--json", action="store_true", help="print the result as JSON")
    evaluate.set_defaults(work=_evaluate)

    attempts = steps.add_parser("attempts", parents=[run], help="the model's own wrong edits, to learn from")
    attempts.add_argument(
        "--data", type=Path, required=True, nargs="+", metavar="FILE", help="JSONL transcripts"
    )
    attempts.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSONL file to write")
    attempts.set_defaults(work=_attempts)

    export = steps.add_parser("export", parents=[run], help="write the averaged weights as a checkpoint")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="the directory to make")
    export.add_argument("--recipe", default="q8", metavar="RECIPE", help="as of convert (default q8)")
    export.set_defaults(work=_export)


def run(arguments: argparse.Namespace) -> int:
    """One step. Raises EngineError."""
    if importlib.util.find_spec("torch") is None:
        raise ConfigError("Training needs PyTorch: pip install 'tidegate[practice]'.")
    arguments.work(arguments)
    return 0


def _tokenizer(arguments: argparse.Namespace) -> None:
    from mlx_model.practice.data.tokenizer import write_tokenizer
    from mlx_model.practice.data.transcripts import Writer
    from mlx_model.practice.export import TEMPLATE

    arguments.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TEMPLATE, arguments.folder / TEMPLATE.name)
    writer = Writer(arguments.folder)
    texts = (text for path in arguments.data for text in writer.texts(path))
    write_tokenizer(texts, arguments.vocabulary, arguments.folder)


def _init(arguments: argparse.Namespace) -> None:
    from tokenizers import Tokenizer

    from mlx_model.practice.export import TEMPLATE
    from mlx_model.practice.training.run_folder import RunFolder, fresh_state
    from mlx_model.practice.trunk.initialization import copying_share, initial_network
    from mlx_model.practice.trunk.shape import Shape

    folder = RunFolder(arguments.folder)
    if folder.started:
        raise RequestError(f"{arguments.folder} holds a training already; choose another --run.")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TEMPLATE, arguments.folder / TEMPLATE.name)
    path = arguments.folder / "tokenizer.json"
    if arguments.tokenizer is not None:
        shutil.copyfile(arguments.tokenizer / path.name, path)
    if not path.exists():
        raise RequestError(f"{arguments.folder} has no tokenizer.json; `practice tokenizer` makes one.")
    shape = Shape(vocab_size=Tokenizer.from_file(str(path)).get_vocab_size())
    network = initial_network(shape, arguments.seed)
    folder.save(fresh_state(network))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{arguments.folder}: {parameters / 1e6:.2f} M parameters, copies {copying_share(network):.1%}")


def _train(arguments: argparse.Namespace) -> None:
    import torch

    from mlx_model.practice.data.batches import Wanted
    from mlx_model.practice.training.optimizer import Rates
    from mlx_model.practice.training.trainer import Plan, train

    gpu = torch.cuda.is_available()
    shares = dict(arguments.share) or _SHARES
    plan = Plan(
        run=arguments.folder,
        data=arguments.data,
        tokens=int(arguments.tokens * 1e6),
        rates=Rates(arguments.muon_rate, arguments.adam_rate),
        wanted=Wanted(arguments.batch_tokens, 1000, shares, arguments.cut, arguments.seed),
        decay=arguments.decay,
        processes=arguments.processes or (1 if gpu else os.cpu_count() or 1),
        device="cuda" if gpu else "cpu",
        compiled=not arguments.no_compile,
    )
    train(plan, _tell)


def _evaluate(arguments: argparse.Namespace) -> None:
    from mlx_model.practice.evaluation import evaluate, total

    scores = evaluate(arguments.folder, arguments.data, arguments.limit)
    if arguments.json:
        print(
            json.dumps(
                {name: {kind: [s.right, s.count] for kind, s in of.items()} for name, of in scores.items()}
            )
        )
        return
    for name, of in scores.items():
        whole = total(of)
        table = Table("kind", "whole edits", title=name)
        for kind, score in of.items():
            table.add_row(kind, f"{score.right} of {score.count}")
        table.add_row("all", f"{whole.right} of {whole.count}")
        Console().print(table)
        print(f"first MTP drafts: {whole.drafts_right / max(1, whole.drafts):.1%} of {whole.drafts:,} tokens")


def _attempts(arguments: argparse.Namespace) -> None:
    from mlx_model.practice.data.attempts import attempts

    with arguments.out.open("w", encoding="utf-8") as file:
        for attempt in attempts(arguments.folder, arguments.data):
            file.write(json.dumps(attempt, ensure_ascii=False) + "\n")


def _export(arguments: argparse.Namespace) -> None:
    from mlx_model.practice.export import export
    from mlx_model.weights.recipes import Recipe

    recipes = [str(recipe) for recipe in Recipe]
    if arguments.recipe not in recipes:
        raise RequestError(f"--recipe is {arguments.recipe}; choose one of {', '.join(recipes)}.")
    written = export(arguments.folder, arguments.out, Recipe(arguments.recipe))
    print(f"{written.directory}: {readable_size(written.nbytes)}")


def _tell(entry: dict[str, Any]) -> None:
    print(
        " ".join(
            f"{name} {value:,}" if isinstance(value, int) else f"{name} {value:.3g}"
            for name, value in entry.items()
        ),
        flush=True,
    )


def _share(text: str) -> tuple[str, float]:
    name, _, weight = text.partition("=")
    return name, float(weight)
