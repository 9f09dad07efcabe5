"""What a program writes, read into calls of the screen's methods.

A reader of its own, because pyte's (0.8.2) takes private sequences (`CSI > 4 m`) for the public ones of the
same letter, prints device control strings as text, and reads a sequence a character at a time. The sequences
are those of xterm: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html
"""

import codecs
import re
from collections.abc import Callable

from app.terminal.screen import TerminalScreen

_TOKEN = re.compile(
    r"(?P<text>[^\x00-\x1f\x7f-\x9f]+)"
    r"|\x1b\[(?P<prefix>[<-?]?)(?P<parameters>[0-9:;]{0,200})(?P<between>[ -/]{0,4})(?P<final>[@-~])"
    r"|\x1b\](?P<command>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b[PX^_][^\x1b]*\x1b\\"
    r"|\x1b(?P<set>[()*+])(?P<charset>.)"
    r"|\x1b[ #%](?P<other>.)"
    r"|\x1b(?P<escape>[0-Z\\`-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f-\x9f])",
    re.DOTALL,
)
_BEGINNING = re.compile(r"\x1b(?:\[[<-?]?[0-9:;]*[ -/]*|[()*+ #%])?\Z")
_STRING = re.compile(r"\x1b[\]PX^_]")
_LONGEST = 100_000  # characters of a control string; what is longer is none
_LONGEST_SEQUENCE = 210  # of any other sequence
_MOST = 9999  # of a parameter
_COLOURS = {"10": "foreground", "11": "background"}

_Act = Callable[[TerminalScreen, list[int]], object]


def _count(parameters: list[int], at: int = 0) -> int:
    """A parameter that says how many, 1 where it is not given or 0."""
    return max(1, parameters[at]) if len(parameters) > at else 1


def _what(parameters: list[int]) -> int:
    """A parameter that says which, 0 where it is not given."""
    return parameters[0] if parameters else 0


_SEQUENCES: dict[str, _Act] = {
    "@": lambda screen, p: screen.insert_characters(_count(p)),
    "A": lambda screen, p: screen.cursor_up(_count(p)),
    "B": lambda screen, p: screen.cursor_down(_count(p)),
    "C": lambda screen, p: screen.cursor_forward(_count(p)),
    "D": lambda screen, p: screen.cursor_back(_count(p)),
    "E": lambda screen, p: screen.cursor_down1(_count(p)),
    "F": lambda screen, p: screen.cursor_up1(_count(p)),
    "G": lambda screen, p: screen.cursor_to_column(_count(p)),
    "H": lambda screen, p: screen.cursor_position(_count(p), _count(p, 1)),
    "J": lambda screen, p: screen.erase_in_display(_what(p)),
    "K": lambda screen, p: screen.erase_in_line(_what(p)),
    "L": lambda screen, p: screen.insert_lines(_count(p)),
    "M": lambda screen, p: screen.delete_lines(_count(p)),
    "P": lambda screen, p: screen.delete_characters(_count(p)),
    "S": lambda screen, p: screen.scroll_up(_count(p)),
    "T": lambda screen, p: screen.scroll_down(_count(p)),
    "X": lambda screen, p: screen.erase_characters(_count(p)),
    "`": lambda screen, p: screen.cursor_to_column(_count(p)),
    "a": lambda screen, p: screen.cursor_forward(_count(p)),
    "c": lambda screen, _: screen.report_device_attributes(),
    "d": lambda screen, p: screen.cursor_to_line(_count(p)),
    "e": lambda screen, p: screen.cursor_down(_count(p)),
    "f": lambda screen, p: screen.cursor_position(_count(p), _count(p, 1)),
    "g": lambda screen, p: screen.clear_tab_stop(_what(p)),
    "h": lambda screen, p: screen.set_mode(*p),
    "l": lambda screen, p: screen.reset_mode(*p),
    "n": lambda screen, p: screen.report_device_status(_what(p)),
    "r": lambda screen, p: screen.set_margins(*p[:2]) if p else screen.set_margins(),
    "s": lambda screen, _: screen.save_cursor(),
    "u": lambda screen, _: screen.restore_cursor(),
    "?h": lambda screen, p: screen.set_mode(*p, private=True),
    "?l": lambda screen, p: screen.reset_mode(*p, private=True),
    "?n": lambda screen, p: screen.report_device_status(_what(p)),
    "?J": lambda screen, p: screen.erase_in_display(_what(p)),
    "?K": lambda screen, p: screen.erase_in_line(_what(p)),
    # Secondary attributes: a VT100 of no version. Whether a private mode is known: it is not.
    ">c": lambda screen, _: screen.write_process_input("\x1b[>0;0;0c"),
    "?$p": lambda screen, p: screen.write_process_input(f"\x1b[?{_what(p)};0$y"),
    "!p": lambda screen, _: screen.reset(),
}
_ESCAPES: dict[str, Callable[[TerminalScreen], object]] = {
    "7": lambda screen: screen.save_cursor(),
    "8": lambda screen: screen.restore_cursor(),
    "D": lambda screen: screen.index(),
    "E": lambda screen: screen.next_line(),
    "H": lambda screen: screen.set_tab_stop(),
    "M": lambda screen: screen.reverse_index(),
    "c": lambda screen: screen.reset(),
}
_CONTROLS: dict[str, Callable[[TerminalScreen], object]] = {
    "\x07": lambda screen: screen.bell(),
    "\x08": lambda screen: screen.backspace(),
    "\t": lambda screen: screen.tab(),
    "\n": lambda screen: screen.linefeed(),
    "\x0b": lambda screen: screen.linefeed(),
    "\x0c": lambda screen: screen.linefeed(),
    "\r": lambda screen: screen.carriage_return(),
    "\x0e": lambda screen: screen.shift_out(),
    "\x0f": lambda screen: screen.shift_in(),
}


class TerminalStream:
    """Feeds `screen`. `colours` is what programs are told that ask for the "foreground" or "background": six
    hex digits each."""

    def __init__(self, screen: TerminalScreen) -> None:
        self._screen = screen
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""
        self._last = ""  # the last character drawn, which REP repeats
        self.colours: dict[str, str] = {}
        self.directory = ""
        """Where the shell is, if it says so (OSC 7)."""

    def feed(self, data: bytes) -> None:
        """Take what the program wrote, cut anywhere."""
        text = self._held + self._decoder.decode(data)
        self._held = ""
        at, end = 0, len(text)
        while at < end:
            token = _TOKEN.match(text, at)
            if token is None:
                if self._is_unfinished(text, at):
                    self._held = text[at:]
                    return
                at += 1  # an escape character that begins nothing
                continue
            at = token.end()
            self._act(token)

    @staticmethod
    def _is_unfinished(text: str, at: int) -> bool:
        """Whether what begins at `at` may be a sequence whose end is still to come."""
        rest = len(text) - at
        if _STRING.match(text, at):
            return rest < _LONGEST and text.find("\x1b", at + 2, len(text) - 1) < 0
        return rest < _LONGEST_SEQUENCE and _BEGINNING.match(text, at) is not None

    def _act(self, token: re.Match[str]) -> None:
        screen = self._screen
        kind = token.lastgroup
        if kind == "text":
            self._last = token["text"][-1]
            screen.draw(token["text"])
        elif kind == "control":
            if act := _CONTROLS.get(token["control"]):
                act(screen)
        elif kind == "final":
            self._sequence(token)
        elif kind == "command":
            self._command(token["command"])
        elif kind == "charset":
            if token["set"] in "()":
                screen.define_charset(token["charset"], mode=token["set"])
        elif kind == "escape" and (escape := _ESCAPES.get(token["escape"])):
            escape(screen)

    def _sequence(self, token: re.Match[str]) -> None:
        name = token["prefix"] + token["between"] + token["final"]
        if name == "m":
            self._screen.select_graphic_rendition(*_rendition(token["parameters"]))
            return
        parameters = [min(int(one or 0), _MOST) for one in token["parameters"].replace(":", ";").split(";")]
        if not token["parameters"]:
            parameters = []
        if name == "b":
            self._screen.draw(self._last * min(_count(parameters), self._screen.columns * self._screen.lines))
        elif act := _SEQUENCES.get(name):
            act(self._screen, parameters)

    def _command(self, command: str) -> None:
        number, _, words = command.partition(";")
        if number in ("0", "2"):
            self._screen.set_title(words)
        elif number == "7" and words.startswith("file://"):
            self.directory = "/" + words.removeprefix("file://").partition("/")[2]
        elif words == "?" and (colour := self.colours.get(_COLOURS.get(number, ""))):
            parts = "/".join(colour[at : at + 2] * 2 for at in (0, 2, 4))
            self._screen.write_process_input(f"\x1b]{number};rgb:{parts}\x1b\\")


def _rendition(parameters: str) -> list[int]:
    """The numbers of a change of style as pyte reads them: colons as semicolons, no kind of underline, and no
    colour of one, whose numbers would be taken for other styles."""
    given = parameters.split(";")
    numbers: list[str] = []
    while given:
        first, *rest = given.pop(0).split(":")
        if first == "58":
            if not rest:
                del given[: 4 if given[:1] == ["2"] else 2]
        elif first == "4" and rest:
            numbers.append("24" if rest[0] == "0" else "4")
        elif rest and rest[0] == "2":
            numbers += [first, "2", *rest[-3:]]  # a colour space may stand between
        else:
            numbers += [first, *rest]
    return [min(int(one or 0), _MOST) for one in numbers] or [39]
