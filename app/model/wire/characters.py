"""Whole characters out of JSON texts, where one beyond U+FFFF may come as two halves.

A server that cuts its reply between UTF-16 units puts the halves of a character into different chunks. A half
that stays alone is no text: it cannot be written anywhere, so U+FFFD takes its place.
"""

import re

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF_LAST = re.compile("[\ud800-\udbff]$")


class CharacterJoiner:
    """Joins the pieces of one text as they arrive."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, piece: str) -> str:
        """What is certain with this piece: all but a first half at its end."""
        text = self._held + piece
        self._held = ""
        if _FIRST_HALF_LAST.search(text):
            text, self._held = text[:-1], text[-1]
        return whole_characters(text)

    def finish(self) -> str:
        """What was held back."""
        half, self._held = self._held, ""
        return whole_characters(half)


def whole_characters(text: str) -> str:
    """`text` with halves joined, and those that are alone replaced."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
