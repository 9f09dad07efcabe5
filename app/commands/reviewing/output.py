"""`tidegate review --json` and `--comments`: a review on standard output, and comments as notes of git."""

import json
import sys
from collections.abc import Collection
from pathlib import Path

from app.git.git import Git
from app.review.desks.desk import Desk
from app.review.desks.sources import Source
from app.review.desks.walk import TITLE_FORM
from app.review.errors import ReviewError
from app.review.exports.comments import as_github_review, as_markdown
from app.review.exports.places import made_on
from app.review.exports.session import as_json
from app.review.port import ReviewPort

FORMS = ("markdown", "github", "notes")
"""What comments can be written as."""


def names_of(source: Source, root: Path) -> set[str]:
    """What comments on `source` call it: the agent's own changes are a part of the work tree's, and have no
    name; a commit that was gone to in a range is called by its subject."""
    if source.kind == "worktree":
        return {source.title, ""}
    names = {source.title}
    if source.kind == "commit":
        form = ("--no-show-signature", TITLE_FORM)
        names.add(Git(root).line("log", "-1", *form, "--end-of-options", source.revision, "--"))
    return names


def write_json(desk: Desk, log: ReviewPort, sources: Collection[str]) -> int:
    """Print the whole review; returns the exit status."""
    _print(json.dumps(as_json(desk, made_on(log.comments(), sources)), indent=2))
    return 0


def write_comments(desk: Desk, log: ReviewPort, sources: Collection[str], form: str) -> int:
    """Print the comments made on these sources in that form, or keep them as a note; returns the exit status.
    Raises ReviewError where there are none."""
    comments = made_on(log.comments(), sources)
    if not comments:
        raise ReviewError(f"There are no comments on {desk.title}", "make some with m, in tidegate review")
    if form == "notes":
        _print(desk.write_note(as_markdown(desk.title, comments)))
    elif form == "github":
        _print(json.dumps(as_github_review(comments, desk.changes(), desk.commit_id()), indent=2))
    else:
        _print(as_markdown(desk.title, comments).rstrip("\n"))
    return 0


def _print(text: str) -> None:
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.buffer.flush()
