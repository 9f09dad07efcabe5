"""Comments as text for people, and as the body of a GitHub review."""

from collections.abc import Sequence
from typing import Any

from app.review.exports.places import place_of
from app.review.model import Comment, FileChange, printable, printable_line


def as_markdown(title: str, comments: Sequence[Comment]) -> str:
    """The comments of a review as Markdown: by file, each with the line that it is on."""
    parts = [f"# Review of {printable(title)}"]
    path = None
    for comment in comments:
        if comment.path != path:
            path = comment.path
            parts.append(f"## {printable(path)}")
        parts.append(_markdown(comment))
    return "\n\n".join(parts) + "\n"


def _markdown(comment: Comment) -> str:
    head = f"**Line {comment.line}**" if comment.line else "**The file**"
    text = printable(comment.text)
    if not comment.quoted.strip():
        return f"{head}\n\n{text}"
    quoted = printable_line(comment.quoted)
    # A fence is longer than any run of backticks in what it holds.
    runs = [len(run) for run in "".join(c if c == "`" else " " for c in quoted).split()]
    fence = "`" * max(3, max(runs, default=0) + 1)
    return f"{head}\n\n{fence}\n{quoted}\n{fence}\n\n{text}"


def as_github_review(
    comments: Sequence[Comment], changes: Sequence[FileChange], commit: str = ""
) -> dict[str, Any]:
    """The body of `POST /repos/{owner}/{repo}/pulls/{number}/reviews` (GitHub's REST API, 2022-11-28).

    Without an "event" GitHub keeps the review as a draft until it is sent off there. A comment on a line that
    is not in the diff, which GitHub refuses, is a part of the review's own text. `commit` is what was reviewed.
    """
    placed: list[dict[str, Any]] = []
    rest: list[str] = []
    for comment in comments:
        place, body, path = place_of(comment, changes), printable(comment.text), printable(comment.path)
        if place is None:
            rest.append(f"{path}{f':{comment.line}' if comment.line else ''}: {body}")
            continue
        one: dict[str, Any] = {"path": path, "side": place.side, "line": place.line, "body": body}
        if place.start != place.line:
            one |= {"start_line": place.start, "start_side": place.side}
        placed.append(one)
    review: dict[str, Any] = {"body": "\n\n".join(rest), "comments": placed}
    return review | ({"commit_id": commit} if commit else {})
