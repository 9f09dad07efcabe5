"""Word marks and the pairing of lines."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.review.diff.words import pair, word_marks

WORDS = st.lists(st.sampled_from(["def", "x", " ", "(", "naïve", "=", "1"]), max_size=12).map("".join)


def without(text: str, spans: tuple[tuple[int, int], ...]) -> str:
    for start, end in reversed(spans):
        text = text[:start] + text[end:]
    return text


@given(WORDS, WORDS)
def test_what_is_not_marked_is_the_same_on_both_sides(removed: str, added: str) -> None:
    old, new = word_marks(removed, added)
    if old or new:
        assert without(removed, old) == without(added, new)


def test_marks_are_whole_words() -> None:
    assert word_marks("return total + 1", "return totals + 1") == (((7, 12),), ((7, 13),))
    assert word_marks("import os", "class Weave:") == ((), ())
    assert word_marks("x" * 5000, "y" * 5000) == ((), ())


@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=5))
def test_pairs_rise_on_both_sides(removed: list[str], added: list[str]) -> None:
    pairs = pair(removed, added)
    assert all(i < k and j < n for (i, j), (k, n) in pairwise(pairs))


def test_a_line_pairs_with_the_one_it_became() -> None:
    assert pair(["    return x"], ["    log()", "    return x + 1"]) == [(0, 1)]
