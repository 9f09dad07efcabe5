"""What users meet on the range: the kinds of bugs and the functions that the shipped model masters."""

from app.practice.bugs.kinds import SHOWN

NOT_MASTERED_KINDS: frozenset[str] = frozenset()
NOT_MASTERED_FUNCTIONS: frozenset[str] = frozenset()

MASTERED = tuple(kind for kind in SHOWN if kind not in NOT_MASTERED_KINDS)


def is_mastered(template: str) -> bool:
    """Whether functions of a template, or of a composition's family, are on the range."""
    return family(template) not in NOT_MASTERED_FUNCTIONS


def family(template: str) -> str:
    """A template's own name; of a composition, what it is made of and what it makes, such as "numbers sum"."""
    words = template.split()
    return " ".join(dict.fromkeys((words[0], words[-1]))) if words[0] in _BY_RESULT else words[0]


_BY_RESULT = ("numbers", "words", "records")
"""Compositions whose names end with what they make."""
