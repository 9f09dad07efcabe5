"""Which adapter from the review is taken up, and putting it aside: a file of state beside the examples."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from app import durable
from app.errors import TidegateError
from app.settings.settings import load_settings, remember
from app.tuning.example_file import tuning_directory


class NothingToPutAside(TidegateError):
    """No adapter from the review is in use."""


class BadTrial(TidegateError):
    """The state of training from the review cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`taken_up`: the adapter in use that training by night made, "" for none; `before`: what the setting
    `adapter` was before it; `news`: what the user was not told of it yet. `trained_on`: the examples of the
    last training that ended, by their ids; `running`: the adapter of one that was interrupted, "" for none."""

    taken_up: str = ""
    before: str = ""
    news: str = ""
    trained_on: tuple[str, ...] = ()
    running: str = ""


def load_trial() -> Trial:
    """The state. Raises BadTrial."""
    path = _file()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return Trial(**{**known, "trained_on": tuple(known.get("trained_on", ()))})
    except FileNotFoundError:
        return Trial()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadTrial(f"{path} cannot be read ({error})", "mend or remove it") from None


def save_trial(trial: Trial) -> None:
    """Keep the state. Raises BadTrial."""
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        durable.replace_file(path, (json.dumps(asdict(trial)).encode(),), durable.PRIVATE)
    except OSError as error:
        raise BadTrial(f"{path} cannot be written ({error.strerror})") from None


def won(told: Mapping[str, Any]) -> bool:
    """Whether a training's result, as the engine tells it, is to be taken up: on decisions that it was not
    trained on it is better, and it prefers what the user does no less often than before."""
    verdict, pairs = told.get("verdict"), told.get("preferred")
    is_better = isinstance(verdict, Mapping) and verdict.get("word") == "better"
    return is_better and (not isinstance(pairs, Mapping) or pairs["after"] >= pairs["before"])


def in_words(told: Mapping[str, Any]) -> str:
    """What a training came to, for a person."""
    verdict, pairs = told["verdict"], told.get("preferred")
    words = f"Held-out loss {verdict['before']:.3f} → {verdict['after']:.3f}."
    if pairs:
        words += f" It prefers what you do in {pairs['before']} → {pairs['after']} of {pairs['pairs']} pairs."
    return words


def take_up(name: str, news: str = "") -> None:
    """Have replies computed under this adapter from the next start on, which tells the `news`. Raises BadTrial
    and BadSettings."""
    trial, present = load_trial(), load_settings().adapter
    # An adapter that replaces one of ours goes back to what was before that.
    before = trial.before if trial.taken_up and present == trial.taken_up else present
    save_trial(replace(trial, taken_up=name, before=before, news=news))
    remember("adapter", name)


def take_news(adapter: str) -> str:
    """What is to be told of the adapter in use, once. Raises BadTrial."""
    trial = load_trial()
    if not trial.news or adapter != trial.taken_up:
        return ""
    save_trial(replace(trial, news=""))
    return trial.news


def put_aside() -> tuple[str, str]:
    """Go back to what `adapter` was before the one from the review was taken up; returns that one's name and
    what the setting is now. Its files stay. Raises NothingToPutAside, BadTrial and BadSettings."""
    trial = load_trial()
    if not trial.taken_up:
        raise NothingToPutAside("no adapter from your review is in use")
    if load_settings().adapter == trial.taken_up:
        remember("adapter", trial.before)
    save_trial(replace(trial, taken_up="", before="", news=""))
    return trial.taken_up, trial.before


def _file() -> Path:
    return tuning_directory() / "trial.json"
