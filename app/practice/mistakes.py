"""Puts a learner's own wrong edits right: `python -m app.practice.mistakes ATTEMPTS --out FILE`.

ATTEMPTS is what `python -m mlx_model practice attempts` wrote; the sessions with their corrections go to FILE.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.errors import TidegateError
from app.practice.draw import Draw
from app.practice.execution import Dubious, Endless
from app.practice.expert.session import Expert, NotShown
from app.practice.expert.stage import Stage
from app.practice.tasks import generate
from app.practice.transcripts import is_short, record_of, write


def corrected(attempts: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A session for each attempt that the tests show to be wrong; raises NoSuchTask for a record of no task."""
    stage = Stage()
    try:
        for attempt in attempts:
            task = generate(attempt["seed"], attempt["only_kind"], attempt["pool"])
            draw = Draw("mistake", attempt["seed"])
            stage.set(task, draw)
            with suppress(NotShown, Endless, Dubious):
                found = Expert(task, stage, draw).corrected(
                    attempt["messages"], attempt["masked"], attempt["turn"], attempt["attempt"]
                )
                if is_short(found):
                    yield record_of(task, found, with_files=False)
    finally:
        stage.close()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m app.practice.mistakes", description=__doc__)
    parser.add_argument("attempts", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, help="the file, written whole or not at all")
    arguments = parser.parse_args()
    try:
        attempts = map(json.loads, arguments.attempts.read_text(encoding="utf-8").splitlines())
        write(arguments.out, corrected(attempts))
    except (TidegateError, OSError, ValueError) as error:
        print(f"No sessions: {error}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
