"""cache: list, verify and clear the snapshots on disk. Needs no model and no MLX."""

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path

from mlx_model.commands.shared.sizes import readable_size
from mlx_model.engine.kept import default_cache_folder
from mlx_model.errors import EngineError
from mlx_model.state.disk.folder import remove_model
from mlx_model.state.disk.report import FolderReport, report, verify


class CacheFolderError(EngineError):
    """The cache folder cannot be read or changed; names it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument(
        "action",
        choices=("list", "verify", "clear"),
        help="list what is kept by model; read and check every byte, removing what is damaged; remove all",
    )
    parser.add_argument(
        "--cache", type=Path, default=None, metavar="DIR", help="the folder (default: the user's cache folder)"
    )
    parser.add_argument(
        "--fingerprint", metavar="ID", help="only the model that `list` shows under this fingerprint"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """0; 1 when `verify` found damage. Raises EngineError."""
    root = arguments.cache or default_cache_folder()
    try:
        models = report(root)
        if arguments.fingerprint:
            models = [model for model in models if model.folder.name == arguments.fingerprint]
            if not models:
                raise CacheFolderError(f"{root} keeps nothing under the fingerprint {arguments.fingerprint}.")
        if arguments.action == "verify":
            return _verify(models, arguments.json)
        if arguments.action == "clear":
            for model in models:
                remove_model(model.folder)
    except OSError as error:
        raise CacheFolderError(f"The cache folder {root} cannot be used: {error}.") from error
    _print_models(root, models, arguments.action, arguments.json)
    return 0


def _verify(models: list[FolderReport], as_json: bool) -> int:
    checked, damaged = 0, []
    for model in models:
        for path, reason in verify(model.folder):
            checked += 1
            if reason is not None:
                damaged.append({"file": str(path), "reason": reason})
    if as_json:
        print(json.dumps({"checked": checked, "removed": damaged}))
    else:
        for file in damaged:
            print(f"removed {file['file']}: {file['reason']}", file=sys.stderr)
        print(f"{checked} files checked, {len(damaged)} damaged and removed.")
    return 1 if damaged else 0


def _print_models(root: Path, models: list[FolderReport], action: str, as_json: bool) -> None:
    total = sum(model.size for model in models)
    if as_json:
        described = [
            {
                "fingerprint": model.folder.name,
                **model.description,
                "snapshots": model.snapshots,
                "longest": model.longest,
                "bytes": model.size,
                "last_used": model.used,
            }
            for model in models
        ]
        print(json.dumps({"folder": str(root), "bytes": total, action + "ed": described}))
        return
    for model in models:
        used = datetime.fromtimestamp(model.used).strftime("%Y-%m-%d %H:%M") if model.used else "never"
        details = ", ".join(f"{key} {value}" for key, value in model.description.items())
        size = f"{model.snapshots:5} snapshots  {readable_size(model.size):>9}"
        print(f"{model.folder.name}  {size}  used {used}  {details}")
    count = "1 model" if len(models) == 1 else f"{len(models)} models"
    verb = "Removed" if action == "clear" else "In all"
    print(f"{verb}: {readable_size(total)} of snapshots of {count} in {root}.")
