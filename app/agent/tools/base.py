"""A tool: a name, a description and arguments for the model; its access, for permission; its run."""

import asyncio
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from app.agent.errors import ToolFailure
from app.agent.shell.jobs import Jobs
from app.agent.tools.files import Files
from app.errors import TidegateError
from app.model.messages import ToolSpecification
from app.review.remarks.model import Said
from app.workspace.workspace import Location, Workspace

MAX_RESULT_CHARACTERS = 32_000
"""Characters of a tool's result: about 8,000 tokens, a thirtieth of the largest context."""


class Arguments(BaseModel):
    """A tool's arguments, read leniently: "10" is a number, "true" a truth value, 3 a text where one is wanted,
    and JSON written inside a string is JSON where a list is wanted."""

    model_config = ConfigDict(coerce_numbers_to_str=True, extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _mend(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {
            name: _mend(value, cls.model_fields[name].annotation)
            for name, value in given.items()
            if name in cls.model_fields and (value is not None or cls.model_fields[name].is_required())
        }


def _mend(value: Any, wanted: Any) -> Any:
    if isinstance(value, bool) and wanted is str:
        return str(value).lower()
    if isinstance(value, str) and wanted is not str:
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value.strip()
    return value


@dataclass(frozen=True, slots=True)
class Access:
    """What a call touches. `location` is the file or directory, or where the command runs. "mcp" is what
    another program does, which says of itself that it only reads or that it destroys."""

    kind: Literal["nothing", "read", "write", "command", "mcp"]
    location: Location | None = None
    command: str = ""
    is_read_only: bool = False
    is_destructive: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call. `text` is for the model, `display` for a person ("" where the text will do).

    `was_confined`: it failed, it seems, because of the sandbox; `was_kept_from_serving`: because that keeps it
    from addresses of this machine, and need not. `ends_matter`: where the text is too long, its middle is what
    the model can best do without, as in what a command printed.
    """

    text: str
    display: str = ""
    ok: bool = True
    todos: tuple[tuple[str, str], ...] | None = None
    was_confined: bool = False
    was_kept_from_serving: bool = False
    ends_matter: bool = False


@dataclass(slots=True)
class ToolContext:
    """What a call has at hand. `delegate` has a prompt answered by a sub-agent, and is None in one; `changed`
    collects the paths it wrote, also when it is cancelled halfway; `touched` is the directory in the workspace
    that it was about. `is_hidden` tells of a path whether the user's rules keep it out of what is found, and
    `hidden` is what they keep from a command. `has_local_servers`: a confined command may use addresses of this
    machine. `say` speaks in the review, and is None in a sub-agent. `summary` is the call as one line;
    `has_begun`: it was not refused."""

    workspace: Workspace
    files: Files
    jobs: Jobs
    print: Callable[[str], Awaitable[None]]
    delegate: "Callable[[str], Awaitable[ToolResult]] | None" = None
    is_sandboxed: bool = False
    has_local_servers: bool = False
    changed: list[str] = field(default_factory=list)
    touched: Path | None = None
    is_hidden: Callable[[str], bool] = lambda _path: False
    hidden: tuple[Path, ...] = ()
    say: Callable[[Said], str] | None = None
    summary: str = ""
    has_begun: bool = False


A = TypeVar("A", bound=Arguments)


class Tool(ABC, Generic[A]):
    """One tool. Its name and arguments are those Qwen3-Coder was trained with in Qwen Code."""

    name: str
    description: ClassVar[str]
    arguments: type[A]

    @property
    def specification(self) -> ToolSpecification:
        """The tool as the model is told of it."""
        return ToolSpecification(self.name, self.description, _compact(self.arguments.model_json_schema()))

    def parse(self, text: str) -> A:
        """The arguments in the JSON text that the model wrote. Raises ToolFailure for invalid ones."""
        try:
            given = json.loads(text or "{}", strict=False)
            if isinstance(given, str):
                given = json.loads(given, strict=False)
        except (ValueError, RecursionError) as error:
            raise ToolFailure(
                f"The arguments of {self.name} are not valid JSON ({error}). Write them again in full."
            ) from error
        try:
            return self.arguments.model_validate(given)
        except ValidationError as error:
            problems = "; ".join(_problem(item) for item in error.errors(include_url=False))
            known = ", ".join(
                name + ("" if item.is_required() else " (optional)")
                for name, item in self.arguments.model_fields.items()
            )
            raise ToolFailure(f"Wrong arguments for {self.name}: {problems}. It takes: {known}.") from error

    @abstractmethod
    def access(self, arguments: A, workspace: Workspace) -> Access:
        """What the call would touch. Raises ToolFailure for a path that is none."""

    @abstractmethod
    def summary(self, arguments: A) -> str:
        """The call as one line for a person."""

    async def preview(self, arguments: A, context: ToolContext) -> str:  # noqa: ARG002 - for those that override
        """The call in full, for the person who is asked to permit it."""
        return self.summary(arguments)

    @abstractmethod
    async def run(self, arguments: A, context: ToolContext) -> ToolResult:
        """Do it. Raises ToolFailure."""


def _problem(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"]) or "arguments"
    if error["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _compact(schema: dict[str, Any]) -> dict[str, Any]:
    """A pydantic schema without what costs tokens and tells the model nothing."""
    definitions = schema.pop("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return walk(definitions[node["$ref"].rpartition("/")[2]])
        if "anyOf" in node:
            kept = [item for item in node["anyOf"] if item.get("type") != "null"]
            node = {**{key: value for key, value in node.items() if key != "anyOf"}, **kept[0]}
        return {
            key: {name: walk(item) for name, item in value.items()} if key == "properties" else walk(value)
            for key, value in node.items()
            if key not in ("title", "default")
        }

    compact: dict[str, Any] = walk(schema)
    compact.pop("description", None)
    return compact


def locate(path: str, workspace: Workspace) -> Location:
    """Where a path that the model wrote leads. Spaces around it belong to the name, unless only the name
    without them is there. Raises ToolFailure when it is none."""
    written, bare = path.strip("\r\n"), path.strip()
    try:
        found = workspace.locate(bare or ".")
        if bare and written != bare:
            as_written = workspace.locate(written)
            if os.path.lexists(as_written.absolute) or not os.path.lexists(found.absolute):
                return as_written
        return found
    except TidegateError as error:
        raise ToolFailure(f"{error}.") from error


R = TypeVar("R")
P = TypeVar("P")


async def in_thread(work: Callable[[], R]) -> R:
    """Run `work` in a thread and see it through: a cancellation waits until it is done, so that what is on disk
    and what the session says cannot part."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def shown_of(paths: Iterable[P], path_of: Callable[[P], str], context: ToolContext) -> tuple[list[P], str]:
    """What of `paths` the user's rules let be found, and a line that says so where that is not all."""
    found = list(paths)
    shown = [item for item in found if not context.is_hidden(path_of(item))]
    left_out = len(found) - len(shown)
    return shown, f"\n[{left_out} left out: the user's rules keep them from you.]" if left_out else ""


def cut(text: str, limit: int, advice: str) -> str:
    """`text`, or as much of it as `limit` characters hold, ending in a whole line and saying what was cut."""
    if len(text) <= limit:
        return text
    kept = text[:limit]
    kept = kept[: kept.rfind("\n") + 1] or kept
    lines = text.count("\n", len(kept)) + 1
    return f"{kept.rstrip()}\n[{lines} more lines, {len(text) - len(kept)} characters, were cut. {advice}]"


def cut_middle(text: str, limit: int, advice: str) -> str:
    """`text`, or the beginning and end of it that `limit` characters hold, whole lines, saying what was cut."""
    if len(text) <= limit:
        return text
    head, tail = text[: limit // 2], text[-(limit // 2) :]
    head = head[: head.rfind("\n") + 1] or head
    tail = tail[tail.find("\n") + 1 :] or tail
    lines = text.count("\n", len(head), len(text) - len(tail))
    cut_characters = len(text) - len(head) - len(tail)
    return f"{head.rstrip()}\n[{lines} lines, {cut_characters} characters, were cut here. {advice}]\n{tail}"
