"""What a session begins with where its project was warmed: parts of the project, read by the model beforehand.

`tidegate warm` has the engine read these messages behind system prompt and tools, and keep on disk what came
of that. A session that begins with the very same messages begins from there. Nothing can be used behind the
first difference, so what changes least comes first, and a session leaves out whatever follows the first change.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from app.agent.prompt.prompt import project_instructions
from app.agent.tools.base import in_thread
from app.errors import TidegateError
from app.model.engine.ready import until_settled
from app.model.messages import Message
from app.model.port import EnginePort
from app.paths import data_directory
from app.workspace.files.writing import write_bytes
from app.workspace.workspace import Workspace

Kind = Literal["instructions", "file", "map"]

_VERSION = 1
"""Of the file's format."""
_INTRODUCTION = (
    "Parts of the project as they were when this session began. Later messages say what changed; read a file "
    "again where that matters."
)
_ANSWER = Message("assistant", "I have read this.")
_MESSAGE_CHARACTERS = 8_000
"""So much goes into one message. Where a message ends there is a snapshot, tens of megabytes each."""
_MAP_CHARACTERS = 24_000  # of the list of files


class CannotWarm(TidegateError):
    """What was asked for cannot be read beforehand."""


@dataclass(frozen=True, slots=True)
class OpeningItem:
    """A piece of the project: AGENTS.md, a file, or the map; `digest` is that of the words it was shown in."""

    kind: Kind
    path: str
    digest: str

    @property
    def name(self) -> str:
        """What a person calls it."""
        return "the map" if self.kind == "map" else self.path


@dataclass(frozen=True, slots=True)
class WarmRecord:
    """What a model has read: parts by message, and `chosen`, the paths that the user named."""

    model: str
    chosen: tuple[str, ...]
    messages: tuple[tuple[OpeningItem, ...], ...]

    @property
    def parts(self) -> tuple[OpeningItem, ...]:
        """All parts in order."""
        return tuple(part for message in self.messages for part in message)


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session begins: `messages` for the model, the files they show, and a sentence for the user."""

    messages: tuple[Message, ...]
    files: tuple[str, ...]
    notice: str


def compose(
    workspace: Workspace, chosen: Sequence[str], model: str, before: WarmRecord | None
) -> tuple[WarmRecord, tuple[Message, ...]]:
    """The messages that sessions shall begin with, and the record of them. `chosen` are files and directories
    relative to the root. What is left unchanged at the head of `before` stays as it is.

    Raises CannotWarm for a path that cannot be shown to a model. Blocks on the disk.
    """
    texts = {part: text for part, text in _parts(workspace, _files(workspace, chosen))}
    known = {(part.kind, part.path): part.digest for part in (before.parts if before else ())}
    head: list[tuple[OpeningItem, ...]] = []
    for message in before.messages if before else ():
        if not all(part in texts for part in message):
            break
        head.append(message)
    settled = {part for message in head for part in message}

    def age(part: OpeningItem) -> tuple[int, bool, int]:
        """What changes least comes first. The map is short, and any new file changes it."""
        changed = known.get((part.kind, part.path), part.digest) != part.digest
        time = (workspace.root / part.path).stat().st_mtime_ns if part.kind == "file" else 0
        return ("instructions", "file", "map").index(part.kind), changed, time

    rest = sorted((part for part in texts if part not in settled), key=age)
    record = WarmRecord(model, tuple(chosen), (*head, *_grouped(rest, texts)))
    return record, _messages(record.messages, texts)


async def opening_for(workspace: Workspace, engine: EnginePort) -> Opening | None:
    """How a new session begins, None where nothing was warmed for this model. Waits for the engine only where
    something was."""
    record = await in_thread(lambda: read_record(workspace.root))
    if record is None:
        return None
    model = (await until_settled(engine)).model
    if model is None or model.id != record.model or not model.keeps_prefixes:
        return None
    return await in_thread(lambda: _recall(workspace, record))


def _recall(workspace: Workspace, record: WarmRecord) -> Opening:
    """The messages of the record up to the first that has changed."""
    texts: dict[OpeningItem, str] = {}
    head: list[tuple[OpeningItem, ...]] = []
    changed: list[str] = []
    for message in record.messages:
        for part in message:
            text = _text(workspace, part.kind, part.path)
            if text is None or _digest(text) != part.digest:
                changed.append(part.name)
            else:
                texts[part] = text
        if changed:
            break
        head.append(message)
    kept = [part for message in head for part in message]
    left = len(record.parts) - len(kept)
    said = [f"This session begins from what was warmed: {listed(kept)}."] if kept else []
    if changed:
        said.append(
            f"{changed[0]} changed since, so {left} of {len(record.parts)} warmed parts are left out; "
            "tidegate warm reads them again."
        )
    files = tuple(part.path for part in kept if part.kind == "file")
    return Opening(_messages(tuple(head), texts), files, " ".join(said))


def listed(parts: Sequence[OpeningItem]) -> str:
    """The parts as a person would list them."""
    files = sum(part.kind == "file" for part in parts)
    named = [part.name for part in parts if part.kind == "instructions"]
    named += [f"{files} file{'s' * (files != 1)}"] if files else []
    named += [part.name for part in parts if part.kind == "map"]
    return ", ".join(named) or "nothing"


def read_record(root: Path) -> WarmRecord | None:
    """What was warmed for the workspace at `root`; None where that is nothing, or cannot be read."""
    try:
        record = json.loads(_record_path(root).read_text(encoding="utf-8"))
        if record["version"] != _VERSION:
            return None
        messages = tuple(
            tuple(OpeningItem(part["kind"], part["path"], part["digest"]) for part in message)
            for message in record["messages"]
        )
        return WarmRecord(record["model"], tuple(record["chosen"]), messages)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(root: Path, record: WarmRecord) -> None:
    """Sessions in the workspace at `root` begin so from now on. Raises TidegateError when the disk refuses."""
    described: Mapping[str, Any] = {"version": _VERSION, "root": str(root), **asdict(record)}
    write_bytes(_record_path(root), json.dumps(described, indent=1).encode())


def forget_record(root: Path) -> bool:
    """Sessions in the workspace at `root` begin with nothing from now on; whether they did otherwise before."""
    path = _record_path(root)
    if not path.exists():
        return False
    path.unlink(missing_ok=True)
    return True


def _record_path(root: Path) -> Path:
    return data_directory() / "warm" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:16]}.json"


def _files(workspace: Workspace, chosen: Sequence[str]) -> Iterator[str]:
    """The text files that are chosen, those in directories included that no ignore rule excludes."""
    seen: set[str] = set()
    for path in chosen:
        is_directory = (workspace.root / path).is_dir()
        for file in workspace.files(path) if is_directory else (path,):
            document = workspace.read_document(file)
            if document.text is None and not is_directory:
                raise CannotWarm(document.notice, "name text files, or directories that hold them")
            if document.text is not None and file not in seen:
                seen.add(file)
                yield file


def _parts(workspace: Workspace, files: Iterator[str]) -> Iterator[tuple[OpeningItem, str]]:
    named: list[tuple[Kind, str]] = [("instructions", "AGENTS.md")]
    named += [("file", file) for file in files if file != "AGENTS.md"]
    named.append(("map", ""))
    for kind, path in named:
        text = _text(workspace, kind, path)
        if text is not None:
            yield OpeningItem(kind, path, _digest(text)), text


def _text(workspace: Workspace, kind: Kind, path: str) -> str | None:
    """A part as the model is shown it; None where there is none any more."""
    if kind == "instructions":
        return project_instructions(workspace.root) or None
    if kind == "map":
        return _map(workspace.files())
    text = workspace.read_document(path).text
    if text is None:
        return None
    return f'<file path="{path}">\n{text}{"" if text.endswith(chr(10)) else chr(10)}</file>'


def _map(files: Sequence[str]) -> str:
    """All files by directory, the names left out of the deepest directories where there is no room for them."""
    directories: dict[str, list[str]] = {}
    for file in files:
        directory, _, name = file.rpartition("/")
        directories.setdefault(directory, []).append(name)
    lines: dict[str, str] = {}
    room = _MAP_CHARACTERS
    for directory in sorted(directories, key=lambda path: (path.count("/") if path else -1, path)):
        names = directories[directory]
        line = f"{directory or '.'}/: {' '.join(names)}"
        if len(line) > room:
            line = f"{directory or '.'}/: {len(names)} files"
        if len(line) > room:
            break
        room -= len(line) + 1
        lines[directory] = line
    shown = [lines[directory] for directory in sorted(lines)]
    if len(lines) < len(directories):
        shown.append(f"and {len(directories) - len(lines)} more directories")
    return "\n".join(["The project's files:", *shown])


def _grouped(parts: Sequence[OpeningItem], texts: Mapping[OpeningItem, str]) -> list[tuple[OpeningItem, ...]]:
    groups: list[tuple[OpeningItem, ...]] = []
    group: list[OpeningItem] = []
    for part in parts:
        group.append(part)
        if sum(len(texts[member]) for member in group) >= _MESSAGE_CHARACTERS:
            groups.append(tuple(group))
            group = []
    return [*groups, tuple(group)] if group else groups


def _messages(groups: Sequence[Sequence[OpeningItem]], texts: Mapping[OpeningItem, str]) -> tuple[Message, ...]:
    """A user's message for each group, and a word in reply, for some servers want the roles to alternate."""
    messages: list[Message] = []
    for number, group in enumerate(groups):
        lines = [_INTRODUCTION] if number == 0 else []
        lines += [texts[part] for part in group]
        content = "\n".join(lines)
        messages.append(Message("user", f"<context>\n{content}\n</context>"))
    return (*messages, _ANSWER) if messages else ()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
