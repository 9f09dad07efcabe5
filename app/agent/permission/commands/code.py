"""Programs given on the command line (`python -c …`, `sed …`): they are asked about. Pure.

No search of a program's text can tell what it does. So every one is asked about, but for the few whose every
construct is known to be harmless: Python that imports and prints, sed that selects and substitutes, awk that
neither runs, writes nor opens anything.
"""

import ast
import re
from collections.abc import Callable

from app.agent.permission.commands.options import has
from app.agent.permission.commands.simple_commands import SimpleCommand

INTERPRETERS = re.compile(r"(?:python|pypy|node|nodejs|ruby|perl|php|deno|bun|lua|osascript)[\d.]*w?\Z")
_GIVEN_BY = {
    "python": "-c",
    "pypy": "-c",
    "node": "-e -p --eval --print",
    "nodejs": "-e -p --eval --print",
    "perl": "-e -E",
    "ruby": "-e",
    "php": "-r",
    "deno": "eval",
    "bun": "-e -p --eval --print",
    "lua": "-e",
}
_WITH_VALUE = {
    "python": "WX",
    "pypy": "WX",
    "perl": "ImM",
    "ruby": "CIrW",
    "node": "Cr",
    "php": "cdf",
    "lua": "l",
}
"""The letters of options whose value may follow without a space."""
_INLINE = "it runs code given on its command line"
_COMPUTED = "it runs code that is computed"
_HARMLESS_NODES = (
    *(ast.Module, ast.Import, ast.ImportFrom, ast.alias, ast.Expr, ast.keyword, ast.Load),
    *(ast.Name, ast.Attribute, ast.Constant, ast.JoinedStr, ast.FormattedValue),
)
_PRINT_OPTIONS = ("sep", "end")
_AWK_ACTS = re.compile(r"\||@|\b(?:system|getline|ARGV|ARGC)\b")
"""All ways in which awk runs a program, opens a file, or calls a function by a computed name. `>` writes a file
in a print statement, and compares elsewhere."""
# A bracket may not hold the delimiter: implementations of sed differ in which of the two ends first.
_SED_ADDRESS = r"(?:\d+|\$|/(?:[^/\\\n\[]|\\.|\[\^?+\]?+[^]/\n]*+\])*+/)"
_SED_SUBSTITUTION = (
    r"s([/|#,@:!])(?:(?!\1)[^\\\n\[]|\\.|\[\^?+\]?+(?:(?!\1)[^]\n])*+\])*+\1(?:(?!\1)[^\\\n]|\\.)*+\1[gpiI\d]*+"
)
_SED_COMMAND = re.compile(
    rf"\s*(?:{_SED_ADDRESS}(?:\s*,\s*[+~]?{_SED_ADDRESS})?\s*)?!?\s*"
    rf"(?:(?:[pPdDnNqQgGhHxl=]|{_SED_SUBSTITUTION})\s*(?:[;\n]|\Z)|[aic][^\\\n]*\Z)"
)


def code_reasons(part: SimpleCommand) -> list[str]:
    """Why the programs on the command line of `part`, which is unwrapped, need asking about."""
    name = part.name or ""
    is_harmless: Callable[[str], bool]
    if INTERPRETERS.match(name):
        kind = re.sub(r"[\d.]+w?\Z", "", name)
        programs = _given(part, kind)
        is_harmless = _is_harmless_python if kind in ("python", "pypy") else _is_unknown
    elif name in ("sed", "gsed"):
        programs, is_harmless = _sed_scripts(part), _is_harmless_sed
    elif name in ("awk", "gawk", "mawk"):
        programs, is_harmless = _awk_programs(part), _is_harmless_awk
    else:
        return []
    if None in programs:
        return [_COMPUTED]
    return [] if all(is_harmless(program) for program in programs if program is not None) else [_INLINE]


def has_script(part: SimpleCommand) -> bool:
    """Whether an interpreter or shell is given what to run, so that its input is no program."""
    words = part.words[1:]
    named = [word for word in words if word is None or not word.startswith("-")]
    return bool(named) and named != ["-"] and not has(words, "-s")


def _given(part: SimpleCommand, kind: str) -> list[str | None]:
    """The programs among an interpreter's options, and the one it is fed; None for a computed one."""
    options = _GIVEN_BY.get(kind, "-e -c").split()
    letters = "".join(option[1] for option in options if len(option) == 2)
    attached = re.compile(rf"-\w*?[{letters}](.*)", re.DOTALL) if letters else None
    found: list[str | None] = []
    after_option = False
    for word, following in zip(part.words[1:], (*part.words[2:], None), strict=False):
        if word in options:
            found.append(following)
            break
        if word is None or not word.startswith("-"):
            if not after_option:
                break  # the script's file, whose own arguments follow
            after_option = False
            continue
        after_option = True
        if word == "-m" and kind in ("python", "pypy"):
            break
        long, equals, value = word.partition("=")
        if equals and long in options:
            found.append(value)
        elif len(word) > 2 and word[1] in _WITH_VALUE.get(kind, ""):
            after_option = False
        elif attached and (short := attached.fullmatch(word)):
            found.append(short[1] or following)
            break
    if part.fed is not None and not has_script(part):
        found.append(part.fed)
    return found


def _is_unknown(_program: str) -> bool:
    return False


def _is_harmless_python(program: str) -> bool:
    """Whether it only imports, which is as running a file, and prints names, attributes and constants."""
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if not (isinstance(node.func, ast.Name) and node.func.id == "print"):
                return False
            if any(keyword.arg not in _PRINT_OPTIONS for keyword in node.keywords):
                return False
        elif isinstance(node, ast.alias):
            if "print" in (node.name, node.asname) or node.name == "*":
                return False  # another function by that name
        elif not isinstance(node, _HARMLESS_NODES):
            return False
    return True


def _sed_scripts(part: SimpleCommand) -> list[str | None]:
    """The scripts of a sed command: those behind -e, else the first word that is neither option nor empty."""
    found: list[str | None] = []
    positional: list[str | None] = []
    words = iter(part.words[1:])
    for word in words:
        if word is None or not word.startswith("-"):
            positional.append(word)
        elif word.startswith("--expression="):
            found.append(word.partition("=")[2])
        elif word == "--expression":
            found.append(next(words, None))
        elif not word.startswith("--") and (short := re.fullmatch(r"-[nErsuz]*e(.*)", word, re.DOTALL)):
            found.append(short[1] or next(words, None))
    given_file = any(word and re.match(r"-[nErsuz]*f|--file", word) for word in part.words[1:])
    # `sed -i '' …` of macOS: the empty word is a suffix.
    named = [word for word in positional if word != ""]
    return found or (_scripts_from_input(part) if given_file else named[:1])


def _is_harmless_sed(script: str) -> bool:
    position = 0
    while position < len(script):
        command = _SED_COMMAND.match(script, position)
        if command is None:
            return False
        position = command.end()
    return True


def _awk_programs(part: SimpleCommand) -> list[str | None]:
    """The programs of an awk command: those behind -e, else the first word that is no option or its value."""
    found: list[str | None] = []
    positional: list[str | None] = []
    given_file = False
    words = iter(part.words[1:])
    for word in words:
        if word is None or not word.startswith("-"):
            positional.append(word)
        elif word in ("-e", "--source"):
            found.append(next(words, None))
        elif word.startswith(("-e", "--source=")):
            found.append(word.removeprefix("-e").removeprefix("--source="))
        else:
            given_file = given_file or word.startswith(("-f", "--file", "-E", "--exec"))
            if word in ("-F", "-v", "-f", "-E", "-i", "-l"):
                next(words, None)
    return found or (_scripts_from_input(part) if given_file else positional[:1])


def _scripts_from_input(part: SimpleCommand) -> list[str | None]:
    """Of a sed or awk that reads its script from a file: the script if that is its input."""
    names_input = any(
        word and re.fullmatch(r"(?:-\w*f|--file=)?(?:-|/dev/stdin)", word) for word in part.words[1:]
    )
    return [part.fed] if names_input else []


def _is_harmless_awk(program: str) -> bool:
    writes = ">" in program and "print" in program
    return not writes and not _AWK_ACTS.search(program.replace("||", " "))
