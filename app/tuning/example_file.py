"""Where examples are kept: a folder for each workspace, with a file of examples and a list of those that the
user struck out. Only its owner can read them, and nothing sends them anywhere."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app import durable
from app.errors import TidegateError
from app.paths import data_directory

_EXAMPLES = "examples.jsonl"
_STRUCK = "struck.json"


class BadExamples(TidegateError):
    """The examples cannot be read or written, or there is none of that name."""


@dataclass(frozen=True, slots=True)
class KeptExample:
    """An example as it is in the file (see examples.TrainingExample.to_line)."""

    line: Mapping[str, Any]
    workspace: str
    is_struck: bool

    @property
    def id(self) -> str:
        return str(self.line["id"])


class ExampleFile:
    """The examples of one workspace. Blocks on the disk; raises BadExamples."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @classmethod
    def of_workspace(cls, root: Path) -> "ExampleFile":
        """The workspace's at `root`."""
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
        return cls(tuning_directory() / "examples" / name)

    def read(self) -> list[KeptExample]:
        """All examples, oldest first."""
        struck = self._struck()
        found = []
        for line in _lines(self._directory / _EXAMPLES):
            found.append(KeptExample(line, str(line.get("workspace", "")), line["id"] in struck))
        return found

    def take_in(self, root: Path, made: Iterable[Mapping[str, Any]]) -> int:
        """Put in what is new among `made`, and what was decided otherwise since in the place of what it was;
        returns how many that are."""
        known = {example.id: dict(example.line) for example in self.read()}
        count = 0
        for line in made:
            whole = {**line, "workspace": str(root)}
            if known.get(str(line["id"])) != whole:
                known[str(line["id"])] = whole
                count += 1
        if count:
            self._write(_EXAMPLES, (json.dumps(line, ensure_ascii=False) + "\n" for line in known.values()))
        return count

    def strike(self, ids: Iterable[str], *, struck: bool = True) -> None:
        """Strike examples out, or take them in again."""
        wanted, now = set(ids), self._struck()
        self._write(_STRUCK, [json.dumps(sorted(now | wanted if struck else now - wanted))])

    def _struck(self) -> set[str]:
        path = self._directory / _STRUCK
        try:
            return set(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return set()
        except (OSError, ValueError, TypeError) as error:
            # To go on without it would train on what was struck out.
            raise BadExamples(f"{path} cannot be read ({error})", "mend or remove it") from None

    def _write(self, name: str, pieces: Iterable[str]) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            encoded = (piece.encode("utf-8", "replace") for piece in pieces)
            durable.replace_file(self._directory / name, encoded, durable.PRIVATE)
        except OSError as error:
            raise BadExamples(f"{self._directory / name} cannot be written ({error.strerror})") from None


def tuning_directory() -> Path:
    """All that training from the review keeps."""
    return data_directory() / "tuning"


def example_files() -> list[ExampleFile]:
    """The files of all workspaces."""
    place = tuning_directory() / "examples"
    return [ExampleFile(entry) for entry in sorted(place.iterdir())] if place.is_dir() else []


def strike(ids: Sequence[str], *, struck: bool = True) -> None:
    """Strike examples of any workspace out, or take them in again. Raises BadExamples for one that there is
    not."""
    left = set(ids)
    for file in example_files():
        here = {example.id for example in file.read()} & set(ids)
        if here:
            file.strike(here, struck=struck)
        left -= here
    if left:
        raise BadExamples(f"there is no example {min(left)}", "tidegate tune data lists them")


def write_training_file(path: Path) -> int:
    """Write all examples that are not struck out, as the trainer reads them; returns how many. Raises
    BadExamples."""
    lines = [example.line for file in example_files() for example in file.read() if not example.is_struck]
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        encoded = ((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace") for line in lines)
        durable.replace_file(path, encoded, durable.PRIVATE)
    except OSError as error:
        raise BadExamples(f"{path} cannot be written ({error.strerror})") from None
    return len(lines)


def write_text_file(path: Path) -> None:
    """Write what is said and written in all examples that are not struck out, as plain text: what a drafting
    layer is fitted on. What several have in common, as the turns of a session, is there once. Raises
    BadExamples."""
    pieces: list[str] = []
    for file in example_files():
        for example in file.read():
            if not example.is_struck:
                written = example.line.get("completion") or example.line["chosen"]
                pieces += _texts([*example.line["prompt"][1:], *written])
    text = "\n\n".join(dict.fromkeys(pieces))
    try:
        durable.replace_file(path, (text.encode("utf-8", "replace"),), durable.PRIVATE)
    except OSError as error:
        raise BadExamples(f"{path} cannot be written ({error.strerror})") from None


def _texts(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        if message.get("content"):
            yield str(message["content"])
        for call in message.get("tool_calls", ()):
            try:
                arguments = json.loads(call["function"]["arguments"])
            except ValueError:
                continue
            yield from (value for value in arguments.values() if isinstance(value, str))


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise BadExamples(f"{path} cannot be read ({error})", "mend or remove it") from None
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = json.loads(line)
            found["id"], found["kind"], found["prompt"]
        except (ValueError, TypeError, KeyError):
            raise BadExamples(f"{path}, line {number} is no example", "mend or remove it") from None
        yield found
