"""Keys and the mouse as the bytes that xterm sends for them."""

from collections.abc import Collection

_ARROWS = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_NUMBERED = {
    "insert": 2,
    "delete": 3,
    "pageup": 5,
    "pagedown": 6,
    "f5": 15,
    "f6": 17,
    "f7": 18,
    "f8": 19,
    "f9": 20,
    "f10": 21,
    "f11": 23,
    "f12": 24,
}
_LETTERED = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_PLAIN = {"enter": "\r", "tab": "\t", "escape": "\x1b", "backspace": "\x7f", "space": " "}
_CONTROL = {
    "at": "\0",
    "space": "\0",
    "left_square_bracket": "\x1b",
    "backslash": "\x1c",
    "right_square_bracket": "\x1d",
    "circumflex_accent": "\x1e",
    "underscore": "\x1f",
    "slash": "\x1f",
    "backspace": "\x08",
}
_MODIFIERS = {"shift": 1, "alt": 2, "ctrl": 4}
APPLICATION_CURSOR = 1
"""The private mode in which cursor keys are told apart from their movements."""
_SGR_MOUSE, _MOVEMENT, _DRAGGING = 1006, 1003, 1002


def key_bytes(key: str, character: str | None, modes: Collection[int]) -> bytes:
    """What is sent for a key by Textual's name, which means `character`, while the private `modes` are set;
    nothing for one that terminals do not know."""
    *modifiers, name = key.split("+")
    number = 1 + sum(_MODIFIERS.get(modifier, 0) for modifier in modifiers)
    if name in _ARROWS:
        begins = f"\x1b[1;{number}" if number > 1 else "\x1bO" if APPLICATION_CURSOR in modes else "\x1b["
        return f"{begins}{_ARROWS[name]}".encode()
    if name in _NUMBERED:
        return f"\x1b[{_NUMBERED[name]}{f';{number}' if number > 1 else ''}~".encode()
    if name in _LETTERED:
        return (
            f"\x1b[1;{number}{_LETTERED[name]}".encode() if number > 1 else f"\x1bO{_LETTERED[name]}".encode()
        )
    if key == "shift+tab":
        return b"\x1b[Z"
    sent = _sent(name, character, modifiers)
    return (f"\x1b{sent}" if "alt" in modifiers and sent else sent).encode("utf-8", "surrogateescape")


def _sent(name: str, character: str | None, modifiers: Collection[str]) -> str:
    if "ctrl" in modifiers:
        if len(name) == 1 and name.isalpha():
            return chr(ord(name.upper()) - 0x40)
        return _CONTROL.get(name, character or "")
    if name in _PLAIN:
        return _PLAIN[name]
    if character is not None:
        return character
    # Of Alt with a letter, Textual gives the letter as the name alone.
    return name if len(name) == 1 else ""


def paste_bytes(text: str, modes: Collection[int]) -> bytes:
    """A pasted text: between marks where the program asked for them, which the text then cannot hold."""
    data = text.replace("\r\n", "\r").replace("\n", "\r").encode("utf-8", "replace")
    if 2004 not in modes:
        return data
    return b"\x1b[200~" + data.replace(b"\x1b[200~", b"").replace(b"\x1b[201~", b"") + b"\x1b[201~"


def mouse_bytes(
    button: int, column: int, line: int, modes: Collection[int], *, released: bool = False, moved: bool = False
) -> bytes:
    """What the mouse did in the cell at `column` and `line`, counted from 0. `button` is 0 to 2 from left to
    right, 3 for none, 64 and 65 for the wheel up and down. Nothing where the program does not want to know."""
    if moved and not (_MOVEMENT in modes or (_DRAGGING in modes and button != 3)):
        return b""
    code = button + (32 if moved else 0)
    if _SGR_MOUSE in modes:
        return f"\x1b[<{code};{column + 1};{line + 1}{'m' if released else 'M'}".encode()
    if column > 222 or line > 222:
        return b""  # more than a byte can say
    return b"\x1b[M" + bytes((32 + (3 if released else code), 33 + column, 33 + line))
