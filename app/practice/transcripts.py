"""Writes expert sessions, one JSON object a line: `python -m app.practice.transcripts --count 9 --out FILE`."""

import argparse
import json
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from app.errors import TidegateError
from app.practice.draw import Draw
from app.practice.execution import Dubious, Endless
from app.practice.expert.session import FORMS, Expert, NotShown, Transcript
from app.practice.expert.stage import Stage
from app.practice.model import PracticeTask
from app.practice.tasks import POOLS, generate, seeds

_POOL_SHARES = {"all": 0.6, "shown": 0.35, "reject": 0.05}
"""Of whole sessions, so that the kinds whose line the tests show are the larger share."""
_LONGEST = 4500
"""Characters of all messages together, about 1,400 tokens of the practice model's tokenizer."""


def records(
    split: str, seed: int, pool: str | None, share_of_dense: float, kinds: Sequence[str] = ()
) -> Generator[dict[str, Any], None, None]:
    """Sessions without end, from the split's first seed at or after `seed`, as they are written to a file. With
    `kinds` only of those kinds of bug, in equal shares."""
    stage = Stage()
    try:
        for number in seeds(split, seed):
            draw = Draw("transcript", number)
            is_dense = draw.chance(share_of_dense)
            chosen = "dense" if is_dense else pool or draw.weighted(_POOL_SHARES)
            task = generate(number, draw.choice(kinds) if kinds else None, chosen)
            found = _transcript(task, stage, draw, is_dense)
            if found is not None and is_short(found):
                yield record_of(task, found, with_files=split != "train")
    finally:
        stage.close()


def _transcript(task: PracticeTask, stage: Stage, draw: Draw, is_dense: bool) -> Transcript | None:
    for form in (draw.weighted(FORMS), "plain"):
        stage.set(task, draw)
        expert = Expert(task, stage, draw)
        with suppress(NotShown, Endless, Dubious):
            return expert.dense() if is_dense else expert.session(form)
    return None


def is_short(found: Transcript) -> bool:
    """Whether the practice model can read it as a whole."""
    return sum(len(json.dumps(message, ensure_ascii=False)) for message in found.messages) <= _LONGEST


def record_of(task: PracticeTask, found: Transcript, *, with_files: bool) -> dict[str, Any]:
    """A session as it is written; `with_files` with all that a model's edits can be judged by."""
    record: dict[str, Any] = {
        "seed": task.seed,
        "pool": task.pool,
        "only_kind": task.only_kind,
        "kind": task.kind,
        "template": task.template,
        "masked": found.masked,
        "deciding": found.deciding,
        "messages": found.messages,
    }
    if with_files:
        record |= {
            "prompt": task.prompt,
            "files": dict(task.files),
            "fixed": task.fixed,
            "test_command": task.test_command,
            "hidden": dict(task.hidden),
        }
    return record


def write(path: Path, found: Iterable[Mapping[str, Any]]) -> None:
    """Write sessions to a file, under another name until all are there.

    Raises NoSuchTask for what `records` was asked for, OSError where the file cannot be written.
    """
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("w", encoding="utf-8") as file:
        for record in found:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    unfinished.replace(path)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m app.practice.transcripts", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many sessions")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--split", default="train", help="train, validation or test; no seed is in two")
    parser.add_argument("--pool", choices=list(POOLS), help="only tasks of this pool")
    parser.add_argument(
        "--kind", action="append", default=[], help="only this kind of bug; several in equal shares"
    )
    parser.add_argument(
        "--dense", type=float, default=0.0, help="share of short samples, several edits to a file"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file, written whole or not at all")
    arguments = parser.parse_args()
    try:
        wanted = arguments.split, arguments.seed, arguments.pool, arguments.dense, arguments.kind
        with closing(records(*wanted)) as found:
            write(arguments.out, islice(found, arguments.count))
    except (TidegateError, OSError) as error:
        print(f"No transcripts: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
