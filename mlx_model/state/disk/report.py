"""What a user may ask about the durable tier: what is kept, and whether every byte of it is sound."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlx_model.state.disk.folder import DESCRIPTION, model_folders, stored_files
from mlx_model.state.disk.snapshot_file import SnapshotFileDamaged, read_snapshot_file


@dataclass(frozen=True, slots=True)
class FolderReport:
    """One model's part: `size` in bytes, `longest` prefix in tokens, `used` last in seconds since the epoch."""

    folder: Path
    description: dict[str, str]
    snapshots: int
    longest: int
    size: int
    used: float


def report(root: Path) -> list[FolderReport]:
    """Every model's part of the folder, used last first. Raises OSError."""
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
    """Read each file of a model's part; what is wrong with it, or None. A damaged file is removed.
    Raises OSError."""
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
        return {}  # only words for the user: the files speak for themselves
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, dict) else {}
