"""Option on a Mac's keyboard.

Where a terminal does not send it as Meta, which is the default of Terminal.app and iTerm2, Option with a letter
sends the character that macOS has there: Option+F is ƒ, not Alt+F. No action of ours needs Option; a user's own
keys with "alt+" are taken in either form.
"""

from textual.keys import _character_to_key

# Apple's US layout, Option and Option+Shift with each letter. E, I, N and U wait for a second key (´ ˆ ˜ ¨), so
# they send nothing by themselves.
_PLAIN = "å∫ç∂\0ƒ©˙\0∆˚¬µ\0øπœ®ß†\0√∑≈¥Ω"
_SHIFTED = "ÅıÇÎ´Ï˝ÓˆÔ\uf8ffÒÂ˜Ø∏Œ‰Íˇ¨◊„˛Á¸"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sent_by_option(key: str) -> str | None:
    """Textual's name of what a Mac sends for `key` where Option is not Meta; None where `key` is not Option
    with a letter, or sends nothing by itself."""
    *modifiers, letter = key.split("+")
    is_shifted = letter.isupper() or "shift" in modifiers
    if letter.lower() not in _LETTERS or not letter or set(modifiers) not in ({"alt"}, {"alt", "shift"}):
        return None
    character = (_SHIFTED if is_shifted else _PLAIN)[_LETTERS.index(letter.lower())]
    return None if character == "\0" else _character_to_key(character)
