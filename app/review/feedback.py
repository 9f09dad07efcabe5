"""What the agent is told of the user's decisions and comments: compact, exact, once."""

from collections.abc import Sequence, Set

from app.review.display import ShownFile
from app.review.log.change_log import ReviewState
from app.review.log.entries import RejectedText
from app.review.log.weave import Atom
from app.review.model import printable, printable_line

_MOST_LINES = 40  # of a rejected hunk
_MARKS = {"removed": "-", "added": "+"}


def rejected_text(shown: ShownFile | None, atoms: Set[Atom]) -> tuple[RejectedText, ...]:
    """The lines that rejecting `atoms` takes back, hunk by hunk, as the diff showed them."""
    if shown is None:
        return ()
    result: list[RejectedText] = []
    for item in shown.shown:
        if not item.hunk.lines:
            if any(name in item.blocks for name, _ in atoms):
                origin = f" from {shown.change.previous_path}" if shown.change.previous_path else ""
                result.append(RejectedText(shown.change.path, 0, f"({shown.change.kind}{origin})"))
            continue
        lines = [line for line, made in zip(item.hunk.lines, item.atoms, strict=True) if made and made <= atoms]
        if not lines:
            continue
        text = [_MARKS.get(line.kind, " ") + printable_line(line.text) for line in lines]
        number = next((n for line in lines if (n := line.after_number or line.before_number)), 0)
        result.append(RejectedText(shown.change.path, number, in_short(text)))
    return tuple(result)


def in_short(lines: Sequence[str]) -> str:
    """These lines, or as many as are worth telling and how many more there are."""
    if len(lines) > _MOST_LINES:
        lines = [*lines[:_MOST_LINES], f"({len(lines) - _MOST_LINES} more lines)"]
    return "\n".join(lines)


def feedback_text(state: ReviewState) -> str:
    """What was rejected and said since the agent last heard of it, "" if nothing."""
    parts: list[str] = []
    told = [text for texts in state.unsaid_rejections.values() for text in texts]
    rejected = [text for text in told if not text.instead]
    if replaced := [text for text in told if text.instead]:
        parts.append("The user had these changes written again, and chose other lines for them:")
        parts += [f"{_place(item.path, item.line)}\n{item.text}\nis now\n{item.instead}" for item in replaced]
    if rejected:
        parts.append("The user rejected these changes; the files are as they were before them:")
        parts += [f"{_place(item.path, item.line)}\n{item.text}" for item in rejected]
    comments = [comment for comment in state.unsaid_comments.values() if comment.text]
    if comments:
        parts.append("The user commented:")
        for comment in comments:
            quoted = f"\n> {printable_line(comment.quoted)}" if comment.quoted else ""
            place = _place(comment.path, comment.line)
            parts.append(f"Comment {comment.comment}, {place}{quoted}\n{comment.text}")
    return printable("\n\n".join(parts))


def _place(path: str, line: int) -> str:
    return f"{path}:{line}" if line else path
