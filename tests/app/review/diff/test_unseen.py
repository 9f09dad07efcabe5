"""A changed line that looks as before says why it is another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.diff.unseen import unseen_changes

REASONS = [
    ("x = 1", "x = 1  ", "trailing blanks"),
    ("x = 1\t", "x = 1", "trailing blanks"),
    ("x = 1", "x = 1\r", "line ending (CRLF)"),
    ("    x", "\tx", "tabs and blanks"),
    ("", "   ", "trailing blanks"),
    ("import os", "\ufeffimport os", "byte-order mark"),
    ("admin", "ad\u200bmin", "characters that cannot be seen"),
    ("if admin:", "if admin\u2066:\u2069", "characters that cannot be seen"),
    ("a b", "a\u00a0b", "other kinds of space"),
    ("caf\u00e9", "cafe\u0301", "Unicode form (NFC, NFD)"),
    ("password", "p\u0430ssword", "letters or signs that look alike"),
    ('print("x")', "print(\u201cx\u201d)", "letters or signs that look alike"),
    ("caf\udce9", "caf\udce8", "bytes that are no UTF-8"),
]


@pytest.mark.parametrize(("removed", "added", "why"), REASONS)
def test_each_way_to_look_the_same_has_a_name(removed: str, added: str, why: str) -> None:
    assert unseen_changes(removed, added) == unseen_changes(added, removed) == (why,)


def test_several_ways_are_all_named() -> None:
    assert unseen_changes("\tcafe\u0301 x", "    caf\u00e9\u00a0x \r") == (
        "line ending (CRLF)",
        "trailing blanks",
        "tabs and blanks",
        "other kinds of space",
        "Unicode form (NFC, NFD)",
    )


@given(st.text("abc \t=", max_size=12), st.sampled_from(["b", "=", " c"]), st.integers(0, 12))
def test_what_can_be_seen_needs_no_reason(text: str, more: str, at: int) -> None:
    assert unseen_changes(text, text) == ()
    changed = text[:at] + more + text[at:]
    assert unseen_changes(text, changed) == () or changed.expandtabs(4).rstrip() == text.expandtabs(4).rstrip()
