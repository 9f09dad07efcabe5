"""Listing and verifying the durable tier, for the `cache` command."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlx_model.state.disk.folder import DESCRIPTION, model_folders, stored_files
from mlx_model.state.disk.snapshot_file import SnapshotFileDamaged, read_snapshot_file


@dataclass(frozen=True, slots=True)
class FolderReport:
    """One model's folder: `snapshots` in it, the `longest` prefix in tokens, `size` in bytes, last `used` in
    seconds since the epoch."""

    folder: Path
    description: dict[str, str]
    snapshots: int
    longest: int
    size: int
    used: float


def report(root: Path) -> list[FolderReport]:
    """Every model's folder, most recently used first. Raises OSError."""
    reports = []
    for folder in model_folders(root):
        whole = [file for file in stored_files(folder) if file.name.kind == "recurrent"]
        reports.append(
            FolderReport(
                folder,
                _description(folder / DESCRIPTION),
                snapshots=len(whole),
                longest=max((file.name.position for file in whole), default=0),
                size=sum(path.stat().st_size for path in folder.iterdir()),
                used=max((file.used for file in whole), default=0.0),
            )
        )
    return sorted(reports, key=lambda part: -part.used)


def verify(folder: Path) -> Iterator[tuple[Path, str | None]]:
    """Read and check each file of a model's folder: its path with the damage found, or None. Damaged files are
    removed. Raises OSError."""
    for file in sorted(stored_files(folder), key=lambda file: file.path):
        try:
            read_snapshot_file(file.path, file.name.facts(folder.name))
        except SnapshotFileDamaged as error:
            file.path.unlink(missing_ok=True)
            yield file.path, str(error)
        except FileNotFoundError:
            continue  # a running engine made room
        else:
            yield file.path, None


def _description(path: Path) -> dict[str, str]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # the description is only shown to the user
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}
