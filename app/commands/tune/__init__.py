"""`tidegate tune`: what of it concerns the review; the rest is the engine's, which reads its line itself."""

import importlib
from pathlib import Path
from typing import NoReturn

from app.commands.engine import become_engine
from app.commands.options import BadUsage
from app.tuning.example_file import tuning_directory, write_training_file

_OWN = {
    "data": ("app.commands.tune.data", "the examples from your review: show them, strike them out"),
    "nightly": ("app.commands.tune.nightly", "train on them while nobody works, and take up what wins"),
}
_REVIEW = "review"


def run(given: list[str]) -> int:
    """Run the one that is named first."""
    own = _OWN.get(given[0]) if given else None
    if own is None:
        _become_engine(given)
    return int(importlib.import_module(own[0]).run(given[1:]))


def _become_engine(given: list[str]) -> NoReturn:
    if not given or given[0] in ("-h", "--help"):
        print("Of the review:")
        for name, (_, summary) in _OWN.items():
            print(f"    {name:<11} {summary}")
        print('\nOf the engine, whose --data takes "review" for those examples:')
        given = ["--help"]
    become_engine(["tune", *with_review(given)])


def with_review(given: list[str]) -> list[str]:
    """The words of a command line with the file of the examples in the place of `--data review`. Raises
    BadUsage where there are none."""
    words = list(given)
    for index, word in enumerate(words):
        if word == _REVIEW and "--data" in words[:index] and not Path(_REVIEW).exists():
            file = tuning_directory() / "training.jsonl"
            if not write_training_file(file):
                raise BadUsage(
                    "there are no examples from your review",
                    "set learn_from_review = true, and decide on some hunks",
                )
            words[index] = str(file)
    return words
