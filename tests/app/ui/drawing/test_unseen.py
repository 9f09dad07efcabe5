"""Characters that cannot be seen are shown where they mislead, and left alone where they are typography."""

import unicodedata

import pytest

from app.ui.drawing.text import visible, visible_block

EMOJI = ["👩\u200d💻", "⚠\ufe0f", "1\ufe0f\u20e3", "❤\ufe0f\u200d🔥"]


@pytest.mark.parametrize(
    "character", ["\u200b", "\u00a0", "\ufeff", "\u00ad", "\u3164", "\U000e0041", "\ufe01", "\u2028"]
)
def test_code_shows_each(character: str) -> None:
    assert visible(f"a{character}b") not in ("ab", "a b", f"a{character}b")
    assert len(visible(f"a{character}b")) == 3


def test_no_invisible_character_of_unicode_is_left() -> None:
    unseen = [
        chr(code)
        for code in range(0x110000)
        if unicodedata.category(chr(code)) in ("Cf", "Zl", "Zp", "Zs", "Cc") and chr(code) not in " \t"
    ]
    # Marks of script that take up room, and the number signs of Arabic and Kaithi, which have a shape.
    shaped = {
        code
        for code in unseen
        if unicodedata.name(code, "").startswith(
            ("ARABIC", "KAITHI", "SYRIAC", "EGYPTIAN", "SHORTHAND", "MUSICAL")
        )
    }
    assert [
        character
        for character in unseen
        if visible(f"a{character}b") == f"a{character}b" and character not in shaped
    ] == []


@pytest.mark.parametrize("emoji", EMOJI)
def test_emoji_stay_whole(emoji: str) -> None:
    assert visible(emoji) == emoji


def test_prose_keeps_its_spaces() -> None:
    assert visible_block("10\u00a0GB\x1b[31m") == "10\u00a0GB␛[31m"
