"""A commit message as the model would write it. The user has the last word."""

from collections.abc import Sequence

from app.model.events import TextDelta, TextWasThought
from app.model.messages import ChatRequest, Message
from app.model.port import ModelPort
from app.review.diff.patch import build_patch, whole
from app.review.errors import ReviewError
from app.review.model import FileChange

_MOST_CHARACTERS = 24_000  # of the diff: about 8,000 tokens
_ORDER = (
    "Write the commit message for this diff: an imperative subject of at most 72 characters, then, only if the "
    "diff does not speak for itself, an empty line and a short paragraph that says why. Answer with the "
    "message alone, without quotes or fences.\n\n"
)


async def suggest_message(model: ModelPort, changes: Sequence[FileChange]) -> str:
    """Ask `model` for a message for `changes`. Raises ModelError."""
    request = ChatRequest(
        (Message("user", _ORDER + _diff(changes)),), temperature=0.2, max_tokens=300, thinks=False
    )
    parts: list[str] = []
    async for event in model.stream(request):
        if isinstance(event, TextDelta):
            parts.append(event.text)
        elif isinstance(event, TextWasThought):
            parts.clear()
    return "".join(parts).strip().strip("`").strip()


def _diff(changes: Sequence[FileChange]) -> str:
    texts: list[str] = []
    room = _MOST_CHARACTERS
    for change in changes:
        try:
            text = build_patch(change, whole(change)).decode("utf-8", "replace")
        except ReviewError:
            text = f"{change.path}: {change.kind}\n"
        if len(text) > room:
            text = f"{change.path}: +{change.added} -{change.removed} lines, left out for their length\n"
        room -= len(text)
        texts.append(text)
    return "".join(texts)[:_MOST_CHARACTERS]
