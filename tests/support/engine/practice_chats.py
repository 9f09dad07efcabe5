"""The practice model, as the checkpoint that has learnt something, and what it was trained to read: an expert's
sessions on tasks that no training saw."""

import json
from itertools import islice
from pathlib import Path

from app.practice.tasks import generate, seeds
from app.practice.transcripts import records
from tests.support.places import ROOT

PRACTICE_MODEL = ROOT / "assets" / "practice-model"


def write_chats(file: Path, count: int) -> Path:
    """Sessions as JSON lines, each with its `messages`."""
    found = islice(records("test", 1, "range", 0.0), count)
    file.write_text("".join(f"{json.dumps(record)}\n" for record in found), encoding="utf-8")
    return file


def unseen_code(count: int) -> list[str]:
    """The texts of that many tasks' files, tests included."""
    tasks = [generate(seed, pool="range") for seed in islice(seeds("test"), count)]
    return ["\n\n".join(task.fixed.values()) for task in tasks]
