"""The nouns of the workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.workspace.files.images import ImageFacts

StatusCode = Literal["modified", "added", "deleted", "renamed", "untracked", "conflicted", "ignored"]


@dataclass(frozen=True, slots=True)
class FileStatus:
    """What git says of one path: its code in the work tree and in the index, None where unchanged."""

    worktree: StatusCode | None = None
    index: StatusCode | None = None


@dataclass(frozen=True, slots=True)
class RepositoryStatus:
    """git status, as one value. `branch` is None on a detached head, `head` None before the first commit.

    `operation` names what is under way ("merge", "rebase", "cherry-pick", "revert", "bisect"). `files` is keyed
    by path relative to the workspace root, with forward slashes.
    """

    branch: str | None
    head: str | None
    ahead: int = 0
    behind: int = 0
    operation: str | None = None
    files: Mapping[str, FileStatus] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """One name in a directory. `path` is relative to the workspace root, with forward slashes."""

    name: str
    path: str
    is_directory: bool
    is_symlink: bool = False
    is_ignored: bool = False
    size: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A file opened for reading. `text` is None when it is not text that can be shown; then `notice` says why
    (binary, too large, no permission) in one sentence. Line endings in `text` are all "\\n"; `line_ending`,
    `encoding` and `has_bom` say what the file has."""

    path: str
    text: str | None
    notice: str = ""
    encoding: str = "utf-8"
    has_bom: bool = False
    line_ending: str = "\n"
    size: int = 0
    image: ImageFacts | None = None
    """What it is, where it is an image."""
