"""Commit exactly the kept hunks.

The commit's tree is HEAD with the kept changes, made in an index of its own, so that whatever else is staged or
changed stays as it is; `git commit` then runs on that index, with the user's hooks and identity. Where a file
had uncommitted changes of the user's own before the agent came to it, the kept changes are brought over to
HEAD's content by git's three-way merge of files; when that is not clean, nothing is committed.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.git.errors import GitError
from app.git.git import Git, GitResult
from app.review.checkout import images, merge
from app.review.diff.compare import SYMLINK
from app.review.display import live_atoms
from app.review.errors import ReviewError
from app.review.log.change_log import ReviewState
from app.review.log.decisions import AtomsByPath, shifts_to
from app.review.log.entries import CommitBegan, CommitEnded, Entry
from app.review.log.file_state import FileState
from app.review.model import FileImage
from app.terminal_output import clean

# The folder in the git directory for the index of a commit that is being made.
_SCRATCH = "tidegate-commit-"


@dataclass(frozen=True, slots=True)
class _Kept:
    """One file's kept change: from what it was without it to what it is with it."""

    before: FileImage | None
    after: FileImage | None


def options(sign_off: bool, amend: bool) -> tuple[str, ...]:
    """The options of `git commit` for these."""
    return (*(["--signoff"] if sign_off else []), *(["--amend"] if amend else []))


def commit_kept(
    git: Git,
    state: ReviewState,
    message: str,
    append: Callable[[Entry], None],
    options: tuple[str, ...] = (),
) -> str:
    """Make the commit; returns a sentence with its short hash, followed by what hooks printed. Raises
    ReviewError, and then nothing is committed."""
    _check(git, message, "--amend" in options)
    kept, atoms = _kept(state)
    head = git.head
    committed = images(git, head, kept)
    ignored = _ignored(git, [path for path in kept if path not in committed])
    files: list[tuple[str, str, int]] = []
    for path, change in kept.items():
        if path not in ignored:
            files.append(_staged(git, path, change, committed.get(path)))
    if not files:
        raise ReviewError("Nothing is kept that could be committed", "keep some hunks first")
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=git.directory) as directory:
        index = {"GIT_INDEX_FILE": str(Path(directory) / "index")}
        git.run("read-tree", *([head] if head else ["--empty"]), environment=index)
        _put_in_index(git, files, index)
        git.ask("update-index", "-q", "--refresh", environment=index)
        tree = git.run("write-tree", environment=index).decode().strip()
        if head and tree == git.line("rev-parse", f"{head}^{{tree}}"):
            raise ReviewError("What is kept is committed already", "keep some more hunks first")
        settled = {path: members for path, members in atoms.items() if path not in ignored}
        number = state.numbers + 1
        append(CommitBegan(number, head, tuple(files), shifts_to(state, settled, "settled")))
        answer = git.ask_with_hooks(
            "commit",
            "--quiet",
            "--cleanup=whitespace",
            "--file=-",
            *options,
            data=message.encode(),
            environment=index,
        )
    made = git.head
    if answer.status and made == head:
        append(CommitEnded(number, ""))
        raise _refusal(_told(answer))
    complaint = _follow(git, head, made)
    append(CommitEnded(number, made))
    words = [_sentence(made, message)]
    if ignored:
        words.append(f"Left out because git ignores it: {', '.join(sorted(ignored))}")
    return "\n".join([*words, *(text for text in (*_printed(answer), complaint) if text)])


def commit_index(git: Git, message: str, options: tuple[str, ...] = ()) -> str:
    """Commit the index, as `commit_kept` commits the kept hunks."""
    _check(git, message, "--amend" in options)
    answer = git.ask_with_hooks(
        "commit", "--quiet", "--cleanup=whitespace", "--file=-", *options, data=message.encode()
    )
    if answer.status:
        if not git.run("diff", "--cached", "--name-only").strip() and "--amend" not in options:
            raise ReviewError("Nothing is staged", "stage some hunks first")
        raise _refusal(_told(answer))
    return "\n".join(text for text in (_sentence(git.head, message), *_printed(answer)) if text)


def _printed(answer: GitResult) -> tuple[str, str]:
    """What git and hooks wrote to their output and to their error stream."""
    return clean(answer.output.decode("utf-8", "replace")).strip(), clean(answer.complaint).strip()


def _told(answer: GitResult) -> str:
    """Why they refused."""
    output, complaint = _printed(answer)
    return complaint or output


def _sentence(made: str, message: str) -> str:
    return f"Committed {made[:7]}: {message.strip().splitlines()[0]}"


def recover(git: Git, begun: CommitBegan, append: Callable[[Entry], None]) -> None:
    """Close a commit that a crash left open: it was made if HEAD now holds what was planned."""
    for left in git.directory.glob(f"{_SCRATCH}*"):
        shutil.rmtree(left, ignore_errors=True)
    head = git.head
    entries = git.tree_entries(head, [path for path, _, _ in begun.files])
    made = head != begun.parent and all(
        entries.get(path) == ((mode, blob) if blob else None) for path, blob, mode in begun.files
    )
    if made:
        _follow(git, begun.parent, head)
    append(CommitEnded(begun.commit, head if made else ""))


def _check(git: Git, message: str, amend: bool) -> None:
    if not git.is_repository:
        if trouble := git.trouble:
            raise ReviewError("git refuses this repository", trouble)
        raise ReviewError(
            "This directory is no git repository, so nothing can be committed", "run git init first"
        )
    operation = git.operation
    if operation and operation != "bisect":  # commits are made in the midst of a bisect
        raise ReviewError(
            f"A {operation} is under way", f"finish or abort the {operation}, then commit what is kept"
        )
    if amend and not git.head:
        raise ReviewError("There is no commit yet that could be amended", "commit without that option")
    if not message.strip():
        raise ReviewError("A commit needs a message", "say what it is for")


def _kept(state: ReviewState) -> tuple[dict[str, _Kept], AtomsByPath]:
    changes: dict[str, _Kept] = {}
    atoms: AtomsByPath = {}
    for path, file in sorted(state.files.items()):
        kept_names, pending_names = file.live()
        kept = live_atoms(file, kept_names, True)
        if kept:
            atoms[path] = kept
            changes[path] = _kept_change(file, kept, live_atoms(file, pending_names, False))
    return {path: change for path, change in changes.items() if change.before != change.after}, atoms


def _kept_change(
    file: FileState, kept: frozenset[tuple[str, int]], pending: frozenset[tuple[str, int]]
) -> _Kept:
    without_pending = file.gone | pending
    return _Kept(file.weave.image(without_pending | kept), file.weave.image(without_pending))


def _ignored(git: Git, paths: list[str]) -> frozenset[str]:
    if not paths:
        return frozenset()
    answer = git.ask(
        "check-ignore", "-z", "--stdin", data=b"".join(os.fsencode(path) + b"\0" for path in paths)
    )
    return frozenset(os.fsdecode(name) for name in answer.output.split(b"\0")[:-1])


def _staged(git: Git, path: str, change: _Kept, committed: FileImage | None) -> tuple[str, str, int]:
    """Path, blob and mode of a file in the commit; blob "" when it is gone."""
    for parent in Path(path).parents:
        if parent != Path() and (git.root / parent / ".git").exists():
            raise ReviewError(f"{path} lies in another repository, {parent}", "open that one to commit there")
    after = change.after
    if after is None:
        return path, "", 0
    if change.before is not None and change.before != committed and not _is_committed(git, path, change.before):
        if committed is None:
            raise ReviewError(
                f"{path} was never committed", "commit the file as it was first, or reject the hunk"
            )
        mode = after.mode if after.mode != change.before.mode else committed.mode
        after = FileImage(_merged(git, path, committed, change.before, after), mode)
    return path, _blob(git, path, after, "-w"), after.mode


def _blob(git: Git, path: str, image: FileImage, *options: str) -> str:
    """The name of a file's content in git, by the rules for line endings that hold at its path."""
    filters = ["--no-filters"] if image.mode == SYMLINK else [f"--path={path}"]
    return git.run("hash-object", "--stdin", *options, *filters, data=image.data).decode().strip()


def _is_committed(git: Git, path: str, image: FileImage) -> bool:
    """Whether git would call the file unchanged, though its bytes are not those a checkout would write."""
    entry = git.tree_entries(git.head, [path]).get(path)
    return entry == (image.mode, _blob(git, path, image))


def _merged(git: Git, path: str, ours: FileImage, base: FileImage, theirs: FileImage) -> bytes:
    """`ours` with the change from `base` to `theirs`."""
    if ours.data == base.data:
        return theirs.data
    if base.data == theirs.data:
        return ours.data
    merged = merge(git, ours.data, base.data, theirs.data)
    if merged is None or SYMLINK in (ours.mode, base.mode, theirs.mode):
        raise ReviewError(
            f"What is kept in {path} rests on changes of your own that are not committed", "commit those first"
        )
    return merged


def _put_in_index(
    git: Git, files: Iterable[tuple[str, str, int]], environment: dict[str, str] | None = None
) -> None:
    prefix, no_blob = git.prefix, git.no_blob
    # A file gives way to a directory of its name, and the other way round: removals come first.
    ordered = sorted(files, key=lambda file: bool(file[1]))
    lines = [
        f"{mode:06o} {blob or no_blob}\t{prefix}{path}\0".encode("utf-8", "surrogateescape")
        for path, blob, mode in ordered
    ]
    git.run("update-index", "-z", "--index-info", data=b"".join(lines), environment=environment)


def _follow(git: Git, old: str, new: str) -> str:
    """Bring the user's index from commit `old` to `new`: what was staged stays staged, on top of the new
    commit. Returns a complaint, "" if all went well."""
    if old:
        changed = git.run("diff-tree", "-r", "-z", "--relative", "--name-only", "--no-renames", old, new)
    else:
        changed = git.run("ls-tree", "-r", "-z", "--name-only", new)
    paths = [os.fsdecode(name) for name in changed.split(b"\0")[:-1]]
    before, after = git.tree_entries(old, paths), git.tree_entries(new, paths)
    files: list[tuple[str, str, int]] = []
    for path, staged in _index_entries(git, paths).items():
        if staged == before.get(path):
            mode, blob = after.get(path, (0, ""))
            files.append((path, blob, mode))
        elif staged and path in before and path in after and staged != after[path]:
            contents = [git.run("cat-file", "blob", blob) for _, blob in (staged, before[path], after[path])]
            merged = merge(git, *contents)
            if merged is not None:
                blob = git.run("hash-object", "-w", "--stdin", data=merged).decode().strip()
                files.append((path, blob, staged[0]))
    try:
        if files:
            _put_in_index(git, files)
    except GitError as error:
        return (
            f"The index could not be brought up to date ({error.remedy}): run git reset on the committed files"
        )
    return ""


def _index_entries(git: Git, paths: list[str]) -> dict[str, tuple[int, str] | None]:
    """Mode and blob of paths in the user's index, None where they are not; unmerged ones are left out."""
    result: dict[str, tuple[int, str] | None] = dict.fromkeys(paths)
    for start in range(0, len(paths), 500):
        listed = git.run("--literal-pathspecs", "ls-files", "-s", "-z", "--", *paths[start : start + 500])
        for record in listed.split(b"\0")[:-1]:
            facts, _, name = record.partition(b"\t")
            mode, blob, stage = facts.decode().split()
            path = os.fsdecode(name)
            if stage == "0" and path in result:
                result[path] = (int(mode, 8), blob)
            else:
                with suppress(KeyError):
                    del result[path]
    return result


def _refusal(complaint: str) -> ReviewError:
    if any(words in complaint for words in ("tell me who you are", "empty ident", "auto-detect email")):
        return ReviewError(
            "git does not know who you are", "set it with git config --global user.name and user.email"
        )
    return ReviewError("git refused the commit", complaint or "it did not say why")
