"""`tidegate tune nightly`: train on the review's examples while nobody works, and take up what wins."""

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from app.commands.options import BadUsage, Parser
from app.model.catalogue.catalogue import LocalModel, choose_model
from app.model.engine.process import EngineFiles
from app.model.engine.process_lock import ProcessLock
from app.paths import adapters_directory, data_directory
from app.settings.settings import Settings, load_settings
from app.tuning.collecting import collect_all
from app.tuning.example_file import (
    example_files,
    tuning_directory,
    write_text_file,
    write_training_file,
)
from app.tuning.night.conditions import Facts, Hours, Rules, reason_to_wait
from app.tuning.night.machine import idle_seconds, on_power
from app.tuning.night.training import TrainingFailed, draft_command, train, tune_command
from app.tuning.trial import in_words, load_trial, save_trial, take_up, won


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate tune nightly",
        allow_abbrev=False,
        description="Train an adapter on the examples from your review, if this machine draws from a socket, "
        "nobody uses it and it is night; and take it up if it wins on decisions that were held out. For cron "
        "or launchd, every half hour: what was interrupted goes on.",
    )
    made.add_argument("--model", metavar="MODEL", help="as of tidegate (default: the settings')")
    made.add_argument("--hours", default="22:00-07:00", metavar="H:MM-H:MM", help="(default: 22:00-07:00)")
    made.add_argument("--now", action="store_true", help="whatever power, hours and users say")
    return made


def run(given: list[str]) -> int:
    """Train, or say why not. 0 in either case; 1 where the training failed."""
    options = parser().parse_args(given)
    settings = load_settings()
    if not settings.learn_from_review:
        raise BadUsage("learn_from_review is false in the settings", "set it to true to train on your review")
    try:
        rules = Rules(Hours.parse(options.hours))
    except ValueError as error:
        raise BadUsage(str(error), "write --hours 22:00-07:00") from None
    model = _model(options.model, settings)
    with _alone() as is_alone:
        if not is_alone:
            print("A training from the review runs already.")
            return 0
        collect_all()
        trial = load_trial()
        ids = _ids()
        fresh = len(set(ids) - set(trial.trained_on))

        def reason(*, has_begun: bool) -> str:
            return "" if options.now else reason_to_wait(_facts(model, fresh), rules, has_begun=has_begun)

        if why := reason(has_begun=bool(trial.running)):
            print(why)
            return 0
        return _train(model, ids, lambda: reason(has_begun=True))


def _train(model: Path, ids: tuple[str, ...], reason_to_stop: Callable[[], str]) -> int:
    trial = load_trial()
    name = trial.running or f"review-{datetime.now():%Y%m%d-%H%M}"
    data, text = (tuning_directory() / f"night.{kind}" for kind in ("jsonl", "txt"))
    if not trial.running:
        write_training_file(data)
        write_text_file(text)
        save_trial(replace(trial, running=name))
    adapter = adapters_directory() / name
    adapter.parent.mkdir(parents=True, exist_ok=True)
    if adapter.is_dir():
        told = _told_by(adapter)
    else:
        found, why = train(tune_command(model, data, adapter, len(ids)), reason_to_stop)
        if found is None:
            print(f"Stopped: {why} It goes on the next time.")
            return 0
        told = found
        print(f"{name}: {in_words(told)}")
    if not won(told):
        save_trial(replace(load_trial(), running="", trained_on=ids))
        print("That is no better on decisions it was not trained on, so it is not taken up.")
        return 0
    is_left = _has_mtp(model) and not (adapter / "mtp").is_dir()
    if is_left and (why := _fit_drafts(model, adapter, text, reason_to_stop)):
        print(f"Stopped: {why} Its drafting layer is fitted the next time.")
        return 0
    take_up(name, in_words(told))
    save_trial(replace(load_trial(), running="", trained_on=ids))
    print("Taken up from the next start on. /adapter aside in the workspace puts it aside.")
    return 0


def _fit_drafts(model: Path, adapter: Path, text: Path, reason_to_stop: Callable[[], str]) -> str:
    """Fit the drafting layer to the adapter, where that makes it better; why that was stopped, or ""."""
    try:
        fitted, why = train(draft_command(model, adapter, text), reason_to_stop)
    except TrainingFailed as error:
        # Drafts change how fast a reply comes, never what it says: the adapter is taken up without.
        print(f"The model's own drafting layer stays: {error}.")
        return ""
    if fitted is not None:
        before, after = fitted["before"][0], fitted["after"][0]
        print(f"Drafts that are the model's own choice: {before:.0%} → {after:.0%}.")
        if after < before:
            shutil.rmtree(adapter / "mtp")
            print("The model's own drafting layer stays, for it is better.")
    return why


def _told_by(adapter: Path) -> dict[str, Any]:
    """What the training of an adapter came to, as its configuration says: the night before ended after it."""
    try:
        told = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["tidegate"]
        return {"verdict": told["held_out"], "preferred": told.get("preferred")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingFailed(f"{adapter} does not say how its training ended ({error})", "remove it") from None


def _has_mtp(model: Path) -> bool:
    """Whether the checkpoint has a drafting layer, as its index or its one file's header says."""
    index = model / "model.safetensors.index.json"
    if index.is_file():
        return '"mtp.' in index.read_text(encoding="utf-8")
    with suppress(OSError), (model / "model.safetensors").open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return b'"mtp.' in file.read(min(length, 100_000_000))
    return False


def _model(named: str | None, settings: Settings) -> Path:
    choice = choose_model(settings.model if named is None else named)
    if not isinstance(choice, LocalModel):
        raise BadUsage("only a model on this machine can be trained", "name a directory with --model")
    return choice.path


def _ids() -> tuple[str, ...]:
    return tuple(
        sorted(example.id for file in example_files() for example in file.read() if not example.is_struck)
    )


def _facts(model: Path, fresh: int) -> Facts:
    used = [data_directory() / "sessions", data_directory() / "reviews"]
    return Facts(
        datetime.now().time(), on_power(), idle_seconds(used, time.time()), fresh, _is_engine_loaded(model)
    )


def _is_engine_loaded(model: Path) -> bool:
    files = EngineFiles.of(model)
    files.prepare()
    try:
        ProcessLock(files.lock).let_go()
    except BlockingIOError:
        return True
    return False


@contextmanager
def _alone() -> Iterator[bool]:
    tuning_directory().mkdir(parents=True, exist_ok=True, mode=0o700)
    with (tuning_directory() / "night.lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
