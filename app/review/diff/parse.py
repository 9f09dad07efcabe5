"""Diffs as text become FileChanges: git's own form and the plain unified one, as they come from `git diff`,
`git format-patch`, `diff -u` or a mail.

The format is that of git's diff-format and diff-generate-patch manual pages. Hunks are read by their counts, so
a line of content that looks like a header is content.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from app.review.diff.compare import SYMLINK, diff_line, header_hunk, hunk_id
from app.review.diff.hunk_text import HunkText
from app.review.diff.names import git_names, marked_path, plain_path, prefixes
from app.review.errors import ReviewError
from app.review.model import ChangeKind, DiffLine, FileChange, Hunk, LineKind

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?([^\n]*)\n?")
_COMBINED_HUNK = re.compile(rb"(@@@+)((?: -\d+(?:,\d+)?)+) \+(\d+)(?:,(\d+))? @@@+ ?([^\n]*)\n?")
_KINDS: dict[bytes, LineKind] = {
    b" ": "context",
    b"-": "removed",
    b"+": "added",
    b"\n": "context",
    b"\r": "context",
}
_REGULAR = 0o100644
"""git's mode of a file that is not executable."""
_NO_NEWLINE = b"\\"
_NEXT_FILE = b"\ndiff --git "  # no line of a hunk begins like this
# Where a file's part begins, and a line that can be in no hunk. A plain diff's header could be: removed lines.
_UNMERGED = b"* Unmerged path "
_START = re.compile(
    rb"^(?:diff --(?:git|cc|combined) |\* Unmerged path |--- .*\n\+\+\+ .*\n@@ -)", re.MULTILINE
)
_BODY_END = re.compile(rb"\n(?![ +\-\\])")


def parse_diff(data: bytes) -> tuple[FileChange, ...]:
    """Every file changed in `data`, in its order; text around the diffs is passed over.

    Raises ReviewError when a hunk ends early or its lines do not fit its header.
    """
    return _one_a_file(_Reader(data).files())


def parse_portions(portions: Iterable[bytes]) -> tuple[FileChange, ...]:
    """`parse_diff` of git's own diff, as far as it has come: whole files are read while git makes the next."""
    changes: list[FileChange] = []
    rest = bytearray()
    for portion in portions:
        known = len(rest)
        rest += portion
        end = rest.rfind(_NEXT_FILE, max(0, known - len(_NEXT_FILE))) + 1
        if end:
            changes += parse_diff(bytes(rest[:end]))
            del rest[:end]
    return _one_a_file((*changes, *parse_diff(bytes(rest))))


@dataclass
class _Header:
    """What the lines in front of a file's hunks said."""

    before_path: str | None = None
    after_path: str | None = None
    before_mode: int | None = None
    after_mode: int | None = None
    created: bool = False
    deleted: bool = False
    renamed: bool = False
    copied: bool = False
    binary: bool = False
    combined: bool = False
    index: bytes = b""
    binary_patch: bytes = b""
    hunks: list[Hunk] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)

    @property
    def path(self) -> str:
        return (
            (self.before_path if self.deleted else self.after_path) or self.before_path or self.after_path or ""
        )


class _Reader:
    """Goes through a diff from header to header. `_line` is the line at `_at`, empty at the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._go_to(0)

    def _go_to(self, at: int) -> None:
        self._at = at
        # Not splitlines: a carriage return alone is part of a line.
        self._end = self._data.find(b"\n", at) + 1 or len(self._data)
        self._line = self._data[at : self._end]

    def _advance(self) -> bytes:
        """The current line; the one behind it becomes the current one."""
        line = self._line
        self._go_to(self._end)
        return line

    def files(self) -> Iterable[FileChange]:
        while found := _START.search(self._data, self._at):
            self._go_to(found.start())
            line = self._line
            if line.startswith(b"diff --git "):
                yield self._git_file(*git_names(line[len(b"diff --git ") :]))
            elif line.startswith(_UNMERGED):
                name = plain_path(self._advance()[len(_UNMERGED) :])
                yield FileChange(name, "combined", (header_hunk(name),))
            elif line.startswith(b"diff "):
                written = line.split(b" ", 2)[2].rstrip(b"\r\n")
                yield self._git_file(written, written, combined=True)
            else:
                header = _Header()
                self._paths(header, None)
                self._hunks(header)
                yield _change(header)

    def _git_file(self, before: bytes, after: bytes, combined: bool = False) -> FileChange:
        marks = prefixes(before, after)
        header = _Header(
            before_path=marked_path(before, marks[0]),
            after_path=marked_path(after, marks[1]),
            combined=combined,
        )
        self._advance()
        while line := self._line:
            if line.startswith(b"--- "):
                self._paths(header, (b"a/", b"b/") if combined else marks)
                break
            if line.startswith(b"GIT binary patch"):
                self._binary(header)
                break
            if line.startswith(b"Binary files ") and line.rstrip().endswith(b" differ"):
                header.binary = True
                self._advance()
                break
            if not _extended_header(header, line):
                break
            self._advance()
        self._hunks(header)
        return _change(header)

    def _paths(self, header: _Header, marks: tuple[bytes, bytes] | None) -> None:
        """The --- and +++ lines; they name a file more reliably than "diff --git" does. `marks` stand before
        these names; None where no such line says."""
        before, after = self._advance()[4:], self._advance()[4:]
        if marks is None:
            marks = (b"a/", b"b/") if _git_style(before, after) else (b"", b"")
        if _is_null(before):
            header.created = True
        elif not (header.renamed or header.copied):
            header.before_path = marked_path(before, marks[0])
        if _is_null(after):
            header.deleted = True
        elif not (header.renamed or header.copied):
            header.after_path = marked_path(after, marks[1])

    def _binary(self, header: _Header) -> None:
        start = self._at
        self._advance()
        # A forward and perhaps a backward part, each "literal N" or "delta N", lines of base85, an empty line.
        while self._line.startswith((b"literal ", b"delta ")):
            while self._line and self._line != b"\n":
                self._advance()
            self._advance()
        header.binary = True
        header.binary_patch = header.index + self._data[start : self._at]

    def _hunks(self, header: _Header) -> None:
        while True:
            if found := _HUNK.match(self._data, self._at):
                header.hunks.append(self._hunk(header, found))
            elif found := _COMBINED_HUNK.match(self._data, self._at):
                header.combined = True
                header.hunks.append(self._combined_hunk(header, found))
            else:
                return

    def _hunk(self, header: _Header, found: re.Match[bytes]) -> Hunk:
        before, before_length, after, after_length, section = found.groups()
        before_start, after_start = int(before), int(after)
        before_count = 1 if before_length is None else int(before_length)
        after_count = 1 if after_length is None else int(after_length)
        ending = _BODY_END.search(self._data, found.end() - 1)
        end = ending.end() if ending else len(self._data)
        text = HunkText(self._data[found.end() : end], before_start, after_start)
        lines: Sequence[DiffLine]
        if text.body.endswith(b"\n") and text.fits(before_count, after_count):
            lines = text
            self._go_to(end)
        else:
            self._go_to(found.end())
            lines = self._counted(
                header, found.start(), (before_start, before_count), (after_start, after_count)
            )
        return Hunk(
            id=hunk_id(header.path, lines, header.seen),
            before_start=before_start,
            before_count=before_count,
            after_start=after_start,
            after_count=after_count,
            lines=lines,
            section=_section(section),
        )

    def _counted(
        self, header: _Header, start: int, before: tuple[int, int], after: tuple[int, int]
    ) -> tuple[DiffLine, ...]:
        """The lines of a hunk that ends where its header's counts say, whatever follows it; `start` is where
        its header is."""
        lines: list[DiffLine] = []
        (i, before_left), (j, after_left) = before, after
        while before_left > 0 or after_left > 0:
            kind = _KINDS.get(self._line[:1])
            if kind is None:
                raise self._damage(header, start, "ends too early")
            raw = self._advance()
            # Some mailers strip the space of an empty context line.
            content = raw if raw[:1] in (b"\n", b"\r") else raw[1:]
            if self._line.startswith(_NO_NEWLINE):
                content = content[:-1]
                self._advance()
            elif not content.endswith(b"\n"):
                content += b"\n"
            old, new = kind != "added", kind != "removed"
            lines.append(diff_line(kind, content, i if old else None, j if new else None))
            i, j = i + old, j + new
            before_left, after_left = before_left - old, after_left - new
        if before_left < 0 or after_left < 0:
            raise self._damage(header, start, "does not fit its header")
        return tuple(lines)

    def _damage(self, header: _Header, start: int, what: str) -> ReviewError:
        number = self._data.count(b"\n", 0, start) + 1
        return ReviewError(
            f"The diff is damaged: the hunk for {header.path} at its line {number} {what}",
            "make the diff again",
        )

    def _combined_hunk(self, header: _Header, found: re.Match[bytes]) -> Hunk:
        """A merge's hunk has one column of marks for each parent; its numbers are those of the result."""
        parents = len(found.group(1)) - 1
        after_start, after_count = int(found.group(3)), int(found.group(4) or 1)
        self._advance()
        lines: list[DiffLine] = []
        j, left = after_start, after_count
        while self._line:
            raw = self._line
            columns = raw[:parents]
            if raw.startswith(_NO_NEWLINE):
                self._advance()
                continue
            # Lines that no parent's side of the result counts may follow the last counted one.
            if len(columns) < parents or columns.strip(b" +-") or (left == 0 and b"-" not in columns):
                break
            self._advance()
            kind: LineKind = "removed" if b"-" in columns else "added" if b"+" in columns else "context"
            content = raw[parents:-1] if self._line.startswith(_NO_NEWLINE) else raw[parents:]
            lines.append(diff_line(kind, content, None, None if kind == "removed" else j))
            if kind != "removed":
                j, left = j + 1, left - 1
        return Hunk(
            id=hunk_id(header.path, lines, header.seen),
            before_start=int(found.group(2).split()[0][1:].split(b",")[0]),
            before_count=sum(line.kind != "added" for line in lines),
            after_start=after_start,
            after_count=sum(line.kind != "removed" for line in lines),
            lines=tuple(lines),
            section=_section(found.group(5)),
        )


def _extended_header(header: _Header, line: bytes) -> bool:
    """Take in one line between "diff --git" and the hunks; false when it is none."""
    text = line.rstrip(b"\r\n")
    if text.startswith(b"index "):
        header.index = text + b"\n"
        words = text.split(b" ")
        if len(words) == 3 and not header.combined:
            header.before_mode = header.after_mode = int(words[2], 8)
    elif text.startswith((b"old mode ", b"deleted file mode ")):
        header.deleted |= text.startswith(b"deleted")
        header.before_mode = _mode(text)
    elif text.startswith((b"new mode ", b"new file mode ")):
        header.created |= text.startswith(b"new file")
        header.after_mode = _mode(text)
    elif text.startswith((b"rename from ", b"copy from ")):
        header.before_path = plain_path(text.split(b" ", 2)[2])
    elif text.startswith((b"rename to ", b"copy to ")):
        header.renamed |= text.startswith(b"rename")
        header.copied |= text.startswith(b"copy")
        header.after_path = plain_path(text.split(b" ", 2)[2])
    else:
        return text.startswith((b"similarity index ", b"dissimilarity index ", b"mode ", b"remerge "))
    return True


def _change(header: _Header) -> FileChange:
    # A plain diff names no mode, and yet says which side there is not.
    before_mode = None if header.created else header.before_mode or (_REGULAR if header.deleted else None)
    after_mode = None if header.deleted else header.after_mode or (_REGULAR if header.created else None)
    kind: ChangeKind = "modified"
    if header.combined:
        kind = "combined"
    elif SYMLINK in (before_mode, after_mode):
        kind = "symlink"
    elif header.binary:
        kind = "binary"
    elif header.created:
        kind = "created"
    elif header.deleted:
        kind = "deleted"
    elif header.renamed:
        kind = "renamed"
    elif header.copied:
        kind = "copied"
    elif not header.hunks and before_mode != after_mode:
        kind = "mode"
    moved = header.renamed or header.copied
    alone = not header.hunks
    beside = moved or (before_mode != after_mode and not (header.created or header.deleted))
    hunks = ([header_hunk(header.path)] if alone or beside else []) + header.hunks
    return FileChange(
        path=header.path,
        kind=kind,
        hunks=tuple(hunks),
        previous_path=header.before_path if moved else None,
        before_mode=before_mode,
        after_mode=after_mode,
        binary_patch=header.binary_patch,
        blobs=header.index if header.binary and not header.binary_patch else b"",
    )


def _one_a_file(changes: Iterable[FileChange]) -> tuple[FileChange, ...]:
    """What git says of a file in two parts becomes one: a file that became a symlink, or the other way round,
    is removed and then created; of an unmerged one it says so, and then perhaps how it differs."""
    result: list[FileChange] = []
    for change in changes:
        last = result[-1] if result else None
        if last is None or last.path != change.path:
            result.append(change)
        elif last.kind == "combined" and change.kind == "modified":
            result[-1] = replace(change, kind="combined")
        elif last.before_mode and change.after_mode and not (last.after_mode or change.before_mode):
            result[-1] = _type_change(last, change)
        else:
            result.append(change)
    return tuple(result)


def _type_change(gone: FileChange, made: FileChange) -> FileChange:
    parts = [hunk for change in (gone, made) for hunk in change.hunks if hunk.lines]
    lines = tuple(line for hunk in parts for line in hunk.lines)
    is_text = lines and "binary" not in (gone.kind, made.kind)
    hunk = Hunk(
        id=hunk_id(gone.path, lines, Counter()),
        before_start=int(gone.removed > 0),
        before_count=gone.removed,
        after_start=int(made.added > 0),
        after_count=made.added,
        lines=lines,
    )
    return FileChange(
        path=gone.path,
        kind="symlink" if SYMLINK in (gone.before_mode, made.after_mode) else "modified",
        hunks=(hunk if is_text else header_hunk(gone.path),),
        before_mode=gone.before_mode,
        after_mode=made.after_mode,
    )


def _mode(text: bytes) -> int:
    return int(text.rsplit(b" ", 1)[1].split(b",")[0], 8)


def _section(raw: bytes) -> str:
    return raw.rstrip(b"\r\n").decode("utf-8", "replace")


def _is_null(raw: bytes) -> bool:
    return raw.rstrip(b"\r\n").split(b"\t")[0] == b"/dev/null"


def _git_style(before: bytes, after: bytes) -> bool:
    """Whether a plain diff's two names carry git's a/ and b/."""
    return (_is_null(before) or before.startswith((b"a/", b'"a/'))) and (
        _is_null(after) or after.startswith((b"b/", b'"b/'))
    )
