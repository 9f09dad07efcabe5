"""Two people's changes of one text, put together where they do not touch each other."""

from collections.abc import Sequence

from app.review.diff.compare import Block, blocks


def merged(base: str, mine: str, theirs: str) -> str | None:
    """`base` with both sides' changes. None where both changed the same lines, or lines beside each other."""
    old, ours, others = (text.split("\n") for text in (base, mine, theirs))
    pending = [*_edits(old, ours), *_edits(old, others)]
    pending.sort(key=lambda edit: (edit[0].before_start, edit[0].before_end))
    result: list[str] = []
    at = 0
    last: tuple[Block, list[str]] | None = None
    for block, lines in pending:
        if last is not None and (block.before_start, block.before_end, lines) == (
            last[0].before_start,
            last[0].before_end,
            last[1],
        ):
            continue  # both made the same change
        if last is not None and block.before_start <= last[0].before_end:
            return None
        result += [*old[at : block.before_start], *lines]
        at = block.before_end
        last = (block, lines)
    return "\n".join([*result, *old[at:]])


def _edits(before: Sequence[str], after: Sequence[str]) -> list[tuple[Block, list[str]]]:
    return [(block, list(after[block.after_start : block.after_end])) for block in blocks(before, after)]
