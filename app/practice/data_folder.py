"""Writes all that the practice model is trained and judged on: `python -m app.practice.data_folder DIR`."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from app.errors import TidegateError
from app.practice.transcripts import records, write

_SHARD = 2000
"""Sessions in a file, so that a training can begin before all are written."""
_APART = 1_000_000
"""Seeds between the first of two files: more than either uses."""
_VALIDATION = {
    "valid-shown": "shown",
    "valid-known": "all",
    "valid-compositions": "unseen-compositions",
    "valid-templates": "unseen-templates",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One file of the folder. `pool` None takes the mixture that training uses."""

    name: str
    count: int
    seed: int
    split: str = "train"
    pool: str | None = None
    dense: float = 0.0


def parts(dense: int, train: int, valid: int, seed: int) -> Iterator[Part]:
    """The files, those first that say how good a model is. `dense` and `train` count sessions of all files of
    their kind, `valid` those of each file."""
    if valid:
        for name, pool in _VALIDATION.items():
            yield Part(name, valid, seed, "validation", pool)
    for kind, count, share in (("train", train, 0.0), ("dense", dense, 1.0)):
        for number, start in enumerate(range(0, count, _SHARD)):
            first = seed + _APART * (2 * number + (kind == "dense"))
            yield Part(f"{kind}-{number:02}", min(_SHARD, count - start), first, dense=share)


def main() -> int:
    """The command line. Files that are there already are kept, so that what was broken off goes on."""
    parser = argparse.ArgumentParser(prog="python -m app.practice.data_folder", description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--train", type=int, default=20_000, help="whole sessions")
    parser.add_argument("--dense", type=int, default=60_000, help="short samples, several edits to a file")
    parser.add_argument("--valid", type=int, default=300, help="sessions in each file to judge a model by")
    parser.add_argument("--seed", type=int, default=0, help="other seeds give other data")
    arguments = parser.parse_args()
    try:
        arguments.directory.mkdir(parents=True, exist_ok=True)
        for part in parts(arguments.dense, arguments.train, arguments.valid, arguments.seed):
            file = arguments.directory / f"{part.name}.jsonl"
            if not file.exists():
                with closing(records(part.split, part.seed, part.pool, part.dense)) as found:
                    write(file, islice(found, part.count))
    except (TidegateError, OSError) as error:
        print(f"The data was not written: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
