"""Review of anything that git can show, and staging, unstaging, discarding and applying parts of it.

What touches the work tree goes through the review's log as one decision, so that it survives a crash whole and
can be undone. What touches the index is git's own `apply --cached`.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.errors import TidegateError
from app.git.conflicts import REMEDY, has_markers
from app.git.errors import GitError
from app.git.git import Git
from app.review.diff.compare import SYMLINK, file_change, is_opaque
from app.review.diff.misfit import Misfit, find_misfit
from app.review.diff.parse import parse_diff, parse_portions
from app.review.diff.received import as_utf8
from app.review.diff.splice import splice, spliced
from app.review.disk import WorkTree
from app.review.errors import ReviewError
from app.review.log.store import review_directory
from app.review.model import FileChange, FileImage, Hunk, Selection
from app.review.port import ReviewPort

SourceKind = Literal["worktree", "staged", "commit", "range", "patch"]

DIFF_FORM = (
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--find-renames",
    "--submodule=short",
    "--inter-hunk-context=0",
    "--unified=3",
    "--relative",
)
# Parts of changes, each with its selection of hunks and lines.
Parts = Sequence[tuple[FileChange, Selection]]

NOTES = "review"
"""The notes of git that comments are kept in: refs/notes/review."""
_SUBMODULE = 0o160000
"""git's mode of a submodule's entry."""
_MEANT = b"meant to be added\t"
_APPLY = ("apply", "--unidiff-zero", "--whitespace=nowarn")


@dataclass(frozen=True, slots=True)
class Source:
    """Something to review. `revision` names a commit or range; `patch` is the text of a patch."""

    kind: SourceKind
    title: str
    revision: str = ""
    patch: bytes = b""


WORK_TREE = Source("worktree", "the work tree")
STAGED = Source("staged", "the index")


def source_of(
    root: Path,
    argument: str | None,
    staged: bool = False,
    standard_input: bytes | None = None,
    here: Path | None = None,
) -> Source:
    """What the command line names: nothing (the work tree, or the index with `staged`), "-" for a diff on
    standard input, a patch file (seen from `here`, by default from the root), a range A..B or A...B, or a
    commit. Raises ReviewError for anything else."""
    if argument == "-":
        return Source("patch", "standard input", patch=as_utf8(standard_input or b""))
    if argument is None:
        return STAGED if staged else WORK_TREE
    path = (here or root) / argument
    git = Git(root)
    # A bare repository has a file called HEAD.
    if path.is_file() and not (git.lacks_work_tree and _is_commit(git, argument)):
        try:
            return Source("patch", argument, patch=as_utf8(path.read_bytes()))
        except OSError as error:
            raise ReviewError(f"{argument} cannot be read", error.strerror or str(error)) from error
    if ".." in argument:
        for end in argument.split("...") if "..." in argument else argument.split(".."):
            _need_commit(git, end or "HEAD")
        return Source("range", argument, argument)
    _need_commit(git, argument)
    return Source("commit", argument, argument)


def _need_commit(git: Git, name: str) -> None:
    if not (git.is_repository or git.lacks_work_tree):
        if trouble := git.trouble:
            raise ReviewError("git refuses this repository", trouble)
        raise ReviewError(
            f"{name} is no patch file, and this directory is no git repository", "name a patch file"
        )
    if not _is_commit(git, name):
        raise ReviewError(f"{name} is neither a commit nor a patch file", "check the name")


def _is_commit(git: Git, name: str) -> bool:
    return bool(git.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"))


class Sources:
    """Reads sources and carries out decisions about them. Every method raises ReviewError or GitError."""

    def __init__(self, root: Path, review: ReviewPort) -> None:
        self._root = root
        self._review = review
        self._git = Git(root)
        self._disk = WorkTree(root)

    @property
    def root(self) -> Path:
        """The directory that is reviewed."""
        return self._root

    @property
    def seen_file(self) -> Path:
        """Where marks of what was seen are kept."""
        return review_directory(self._root) / "seen"

    def changes(self, source: Source) -> tuple[FileChange, ...]:
        """The source's files, as git lists them. Untracked files are part of the work tree's changes."""
        if source.kind == "patch":
            return parse_diff(source.patch)
        if source.kind == "staged":
            # Without a work tree there is no index either, and git would call every file removed.
            self._need_repository()
        if source.kind == "commit" and (merged := self._merges_own(source.revision)) is not None:
            return merged
        command = {
            "commit": ("show", "--format=", *DIFF_FORM, "--end-of-options", source.revision),
            "range": ("diff", *DIFF_FORM, "--end-of-options", source.revision, "--"),
            "staged": ("diff", "--cached", *DIFF_FORM),
            "worktree": ("diff", *DIFF_FORM),
        }[source.kind]
        try:
            tracked = parse_portions(self._git.stream(*command))
        except GitError:
            # Outside of a repository git's own words would be about something else.
            self._need_repository()
            raise
        if source.kind != "worktree":
            return tracked
        return tuple(sorted((*tracked, *self._untracked()), key=lambda change: change.path))

    def _merges_own(self, revision: str) -> tuple[FileChange, ...] | None:
        """What a merge changed itself: how it differs from what git would have made of its parents. None for
        another commit, and where git cannot say (before 2.35): its combined diff is shown then."""
        if not self._git.line("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^2"):
            return None
        answer = self._git.ask("show", "--format=", "--remerge-diff", *DIFF_FORM, "--end-of-options", revision)
        return parse_diff(answer.output) if answer.status == 0 else None

    def _untracked(self) -> Iterator[FileChange]:
        listed = self._git.run("ls-files", "--others", "--exclude-standard", "-z")
        for name in listed.split(b"\0")[:-1]:
            path = os.fsdecode(name)
            try:
                image = None if path.endswith("/") else self._disk.read(path)
            except OSError:
                # A socket or a file of someone else's: git could not add it either.
                continue
            change = file_change(path, None, image)
            if change:
                yield change

    def stage(self, change: FileChange, selection: Selection) -> None:
        """Put a part of a work tree change into the index; a file that git could not merge, as a whole."""
        from app.review.diff.patch import build_patch  # noqa: PLC0415  looking needs it not

        self._need_repository()
        if change.kind == "combined":
            self._need_resolved(change.path)
        if change.kind != "combined" and _by_path(change) and change.after_mode is None:
            # What may be there now is a directory with changes of its own, which "add" would add.
            self._git.run("update-index", "--force-remove", "--", change.path)
        elif change.kind == "combined" or _by_path(change):
            self._git.run("--literal-pathspecs", "add", "-A", "--", *_paths(change))
        else:
            self._apply_to_index(build_patch(change, selection), change)

    def unstage(self, change: FileChange, selection: Selection) -> None:
        """Unstage a part of a change; the work tree does not change."""
        from app.review.diff.patch import build_patch  # noqa: PLC0415  looking needs it not

        self._need_repository()
        if not _by_path(change):
            self._apply_to_index(build_patch(change, selection, reverse=True), change, "--reverse")
        elif self._git.head:
            self._git.run("--literal-pathspecs", "reset", "--quiet", "HEAD", "--", *_paths(change))
        else:
            self._git.run("--literal-pathspecs", "rm", "--cached", "--quiet", "--", *_paths(change))

    def edit(self, change: FileChange, hunk: Hunk, text: str) -> None:
        """Put `text` in the place of what a work tree change's hunk is after it."""
        with self._review.users_own(change.path):
            splice(self._disk, change, hunk, text)

    def edit_staged(self, change: FileChange, hunk: Hunk, text: str) -> None:
        """Put `text` in the place of what a staged change's hunk is after it, in the index alone."""
        listed = self._git.run("--literal-pathspecs", "ls-files", "-s", "-z", "--full-name", "--", change.path)
        content = self._git.run("cat-file", "blob", listed.split()[1].decode()) if listed else b""
        if not listed or is_opaque(content):
            raise ReviewError(f"{change.path} is no text file in the index", "look again (r)")
        new = spliced(change.path, content, hunk, text)
        name = self._git.run("hash-object", "-w", "--stdin", data=new).strip()
        facts, path = listed.split(b"\t", 1)
        mode, _, stage = facts.split()
        self.put_index([change.path], b"%s %s %s\t%s" % (mode, name, stage, path))

    def discard(self, parts: Parts) -> None:
        """Take parts of work tree changes back, to what the index has, all or nothing; the review's `undo`
        brings them back."""
        from app.review.diff.patch import build_patch  # noqa: PLC0415  looking needs it not

        self._need_repository()
        wanted: dict[str, FileImage | None] = {}
        for change, selection in parts:
            if _SUBMODULE in (change.before_mode, change.after_mode):
                raise ReviewError(f"{change.path} is a submodule", "bring it back with git submodule update")
            if _by_path(change):
                wanted |= {path: self._staged_image(path) for path in _paths(change)}
            else:
                patch = build_patch(change, selection, reverse=True)
                wanted |= self._applied([patch], _paths(change), "--reverse")
        self._review.replace_files(f"Discarded changes in {_names(parts)}", wanted)
        # git shows a tracked file as new only where it was merely announced (git add -N): that entry goes too.
        announced = [change.path for change, _ in parts if wanted.get(change.path, change) is None]
        if announced and self._git.is_repository:
            names = b"".join(os.fsencode(path) + b"\0" for path in announced)
            self._git.run("update-index", "-z", "--force-remove", "--stdin", data=names)

    def apply(self, parts: Parts) -> str:
        """Apply parts of a patch to the work tree, all or nothing; the review's `undo` takes it back. Returns
        what git had to say about places that had moved, or of which it found only part of the context."""
        from app.review.diff.patch import build_patch  # noqa: PLC0415  looking needs it not

        patches = [build_patch(change, selection) for change, selection in parts]
        paths = tuple(path for change, _ in parts for path in _paths(change))
        said: list[str] = []
        try:
            wanted = self._applied(patches, paths, "--verbose", said=said)
        except TidegateError as first:
            # As patch(1) does with its fuzz: at last, one line of context must do.
            said.clear()
            try:
                wanted = self._applied(patches, paths, "--verbose", "-C1", said=said)
            except TidegateError:
                raise first from None
        self._review.replace_files(f"Applied a patch to {_names(parts)}", wanted)
        return "\n".join(line for line in said if "offset" in line or line.startswith("Context reduced"))

    def misfits(self, parts: Parts) -> dict[str, Misfit]:
        """Why hunks of a patch do not fit the work tree, by their ids; those that do are left out."""
        found: dict[str, Misfit] = {}
        for change, selection in parts:
            try:
                image = self._disk.read(change.previous_path or change.path)
            except OSError:
                continue
            misfits = {
                hunk.id: find_misfit(change, hunk, image) for hunk in change.hunks if hunk.id in selection
            }
            found |= {name: misfit for name, misfit in misfits.items() if misfit is not None}
        return found

    @property
    def last_message(self) -> str:
        """The message of the commit that amending would replace, "" without one."""
        return self._git.last_message

    def commit(self, message: str, *, sign_off: bool = False, amend: bool = False) -> str:
        """Commit the index, running hooks. Returns a sentence and the hooks' output."""
        from app.review.commit import commit_index, options  # noqa: PLC0415  looking needs it not

        self._need_repository()
        return commit_index(self._git, message, options(sign_off, amend))

    def index_of(self, paths: Sequence[str]) -> bytes:
        """What the index says of these paths, to be compared and put back."""
        listed = self._git.run("--literal-pathspecs", "ls-files", "-s", "-z", "--full-name", "--", *paths)
        # What is only meant to be added has an entry like that of an empty file.
        meant = self._git.run(
            "--literal-pathspecs", "diff", "--name-only", "--diff-filter=A", "-z", "--", *paths
        )
        names = meant.split(b"\0")[:-1]
        entries = [entry for entry in listed.split(b"\0")[:-1] if entry.partition(b"\t")[2] not in names]
        return b"".join(entry + b"\0" for entry in (*entries, *(_MEANT + name for name in names)))

    def put_index(self, paths: Sequence[str], entries: bytes) -> None:
        """Bring these paths' entries back to what `index_of` returned."""
        prefix = self._git.prefix
        names = [(prefix + path).encode("utf-8", "surrogateescape") for path in paths]
        no_entry = f"0 {self._git.no_blob}\t".encode()
        gone = b"".join(no_entry + name + b"\0" for name in names)
        records = entries.split(b"\0")[:-1]
        there = b"".join(record + b"\0" for record in records if not record.startswith(_MEANT))
        self._git.run("update-index", "-z", "--index-info", data=gone + there)
        meant = [os.fsdecode(record[len(_MEANT) :]) for record in records if record.startswith(_MEANT)]
        if meant:
            top = str(self._git.top)
            self._git.run("-C", top, "--literal-pathspecs", "add", "--intent-to-add", "--", *meant)

    def after(self, source: Source, change: FileChange) -> bytes | None:
        """The whole file after a change of `source`; None if there is none or it is unknown."""
        if source.kind == "patch" or change.after_mode is None:
            return None
        if source.kind == "worktree":
            image = self._disk.read(change.path)
            return image.data if image else None
        revision = "" if source.kind == "staged" else last_revision(source)
        answer = self._git.ask("cat-file", "blob", f"{revision}:{self._git.prefix}{change.path}")
        return answer.output if answer.status == 0 else None

    def commit_of(self, source: Source) -> str:
        """The id of a commit, or of the last one of a range."""
        return self._git.line(
            "rev-parse", "--verify", "--end-of-options", f"{last_revision(source)}^{{commit}}"
        )

    def write_note(self, commit: str, text: str) -> str:
        """Keep `text` as the note of the review on a commit; returns a sentence."""
        data = text.encode("utf-8", "surrogateescape")
        self._git.run("notes", f"--ref={NOTES}", "add", "--force", "--file=-", commit, data=data)
        return f"Wrote a note on {commit[:10]}: git log --notes={NOTES} shows it"

    def _apply_to_index(self, patch: bytes, change: FileChange, *options: str) -> None:
        if not patch:
            return
        answer = self._git.ask(*_APPLY, "--cached", *self._directory(), *options, data=patch)
        if answer.status:
            raise ReviewError(
                f"git could not stage this part of {change.path}", f"look again ({answer.complaint})"
            )

    def _directory(self) -> tuple[str, ...]:
        """What keeps git, below the repository's root, from passing over names that are seen from here."""
        prefix = self._git.prefix
        return (f"--directory={prefix}",) if prefix else ()

    def _applied(
        self, patches: Sequence[bytes], paths: tuple[str, ...], *options: str, said: list[str] | None = None
    ) -> dict[str, FileImage | None]:
        """What files become by patches: git applies them to copies, in a work tree of their own, so that the
        repository's line-ending rules hold and a patch that does not fit touches nothing."""
        for path in paths:
            if Path(path).is_absolute() or ".." in Path(path).parts:
                raise ReviewError(f"The patch reaches outside of this directory ({path})", "it was not applied")
        with self._copies(paths) as (copies, git):
            patch = b"".join(patches)
            if patch:
                place = self._place(copies)
                answer = git.ask(*_APPLY, *self._directory(), *options, data=patch, environment=place)
                if said is not None:
                    said.extend(answer.complaint.splitlines())
                if answer.status:
                    raise ReviewError("The patch does not fit", answer.complaint.splitlines()[-1])
            return {path: WorkTree(git.root).read(path) for path in paths}

    @contextmanager
    def _copies(self, paths: tuple[str, ...]) -> Iterator[tuple[Path, Git]]:
        with tempfile.TemporaryDirectory(prefix="tidegate-") as directory:
            top = Path(directory).resolve()
            inner = top / (self._git.prefix if self._git.is_repository else "")
            inner.mkdir(parents=True, exist_ok=True)
            copies = WorkTree(inner)
            try:
                for path in paths:
                    copies.write(path, self._disk.read(path))
                self._copy_attributes(top, paths)
                if self._have_filters(paths):
                    _link_rest(self._git.top, top)
            except OSError as error:
                raise ReviewError(f"A file cannot be read ({error.filename})", error.strerror or "") from error
            yield top, Git(inner)

    def _copy_attributes(self, copies: Path, paths: tuple[str, ...]) -> None:
        """Filters and line endings are those that hold for the files where they are."""
        if not self._git.is_repository:
            return
        top, prefix = self._git.top, self._git.prefix
        folders = {folder for path in paths for folder in Path(prefix + path).parents}
        for folder in folders:
            name = (folder / ".gitattributes").as_posix()
            if (top / name).is_file() and not (copies / name).exists():
                WorkTree(copies).write(name, WorkTree(top).read(name))

    def _have_filters(self, paths: tuple[str, ...]) -> bool:
        if not self._git.is_repository:
            return False
        said = self._git.run("check-attr", "-z", "filter", "--", *paths).split(b"\0")
        return any(value not in (b"unspecified", b"unset") for value in said[2::3])

    def _place(self, copies: Path) -> dict[str, str]:
        if not self._git.is_repository:
            return {}
        return {"GIT_DIR": str(self._git.directory), "GIT_WORK_TREE": str(copies)}

    def _staged_image(self, path: str) -> FileImage | None:
        listed = self._git.run("--literal-pathspecs", "ls-files", "-s", "-z", "--", path)
        entries = [entry.partition(b"\t") for entry in listed.split(b"\0")]
        # A directory of this name is listed by its files.
        found = next((facts for facts, _, name in entries if name == os.fsencode(path)), None)
        if found is None:
            return None
        mode, blob = found.decode().split()[:2]
        filters = [] if int(mode, 8) == SYMLINK else ["--filters", f"--path={self._git.prefix}{path}"]
        content = self._git.run("cat-file", *(filters or ["blob"]), blob)
        return FileImage(content, int(mode, 8))

    def _need_resolved(self, path: str) -> None:
        image = self._disk.read(path)
        if image is not None and has_markers(image.data):
            raise _conflicts(path)

    def _need_repository(self) -> None:
        if self._git.is_repository:
            return
        if self._git.lacks_work_tree:
            raise ReviewError("There is no work tree here", "review a commit or a range of them: A..B")
        if trouble := self._git.trouble:
            raise ReviewError("git refuses this repository", trouble)
        raise ReviewError("This directory is no git repository", "review a patch file instead, or run git init")


def _link_rest(source: Path, target: Path) -> None:
    """Put links in `target` for what `source` has beside the files that are copied: a filter may be a program
    of the repository's, named by its path there."""
    for entry in source.iterdir():
        copy = target / entry.name
        if entry.name != ".git" and not os.path.lexists(copy):
            copy.symlink_to(entry)
        elif copy.is_dir() and not copy.is_symlink():
            _link_rest(entry, copy)


def last_revision(source: Source) -> str:
    """The revision that a commit or a range ends with."""
    if source.kind == "commit":
        return source.revision
    return source.revision.replace("...", "..").split("..")[-1] or "HEAD"


def _by_path(change: FileChange) -> bool:
    """Whether a change can only be taken whole, because its content is in no patch."""
    if change.kind == "combined":
        raise _conflicts(change.path)
    return not any(hunk.lines for hunk in change.hunks) and change.kind in ("binary", "symlink")


def _conflicts(path: str) -> ReviewError:
    return ReviewError(f"{path} has conflicts", REMEDY)


def _names(parts: Parts) -> str:
    return parts[0][0].path if len(parts) == 1 else f"{len(parts)} files"


def _paths(change: FileChange) -> tuple[str, ...]:
    return (change.path, change.previous_path) if change.previous_path else (change.path,)
