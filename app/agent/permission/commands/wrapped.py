"""Programs that run what they are given: the command inside `env A=1 timeout 5 …`. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from app.agent.permission.commands.simple_commands import SimpleCommand, Word

SHELLS = frozenset(["bash", "sh", "zsh", "dash", "ksh", "fish", "ash"])


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """How a wrapper's own words are told from the command: `valued` are options with a value in a word of its
    own, `before` how many words stand before the command, `adds` whether it gives the command more words,
    `assigns` whether it takes settings of variables."""

    valued: frozenset[str] = frozenset()
    before: int = 0
    adds: bool = False
    assigns: bool = False


def _wrapper(valued: str = "", before: int = 0, *, adds: bool = False, assigns: bool = False) -> _Wrapper:
    return _Wrapper(frozenset(valued.split()), before, adds, assigns)


_WRAPPERS = {
    "env": _wrapper("-u --unset -C --chdir -S --split-string", assigns=True),
    "nohup": _wrapper(),
    "nice": _wrapper("-n --adjustment"),
    "time": _wrapper("-f -o --format --output", assigns=True),
    "gtime": _wrapper("-f -o --format --output"),
    "timeout": _wrapper("-s -k --signal --kill-after", 1),
    "gtimeout": _wrapper("-s -k --signal --kill-after", 1),
    "command": _wrapper(),
    "exec": _wrapper("-a"),
    "builtin": _wrapper(),
    "coproc": _wrapper(assigns=True),
    "stdbuf": _wrapper("-i -o -e --input --output --error"),
    "xargs": _wrapper(
        "-I -n -P -L -d -a -E -s --max-args --max-procs --delimiter --arg-file --replace", adds=True
    ),
    "parallel": _wrapper("-j --jobs -N -n -I -a --arg-file", adds=True),
    "setsid": _wrapper(),
    "ionice": _wrapper("-c -n -p --class --classdata"),
    "chrt": _wrapper("", 1),
    "taskset": _wrapper("", 1),
    "flock": _wrapper("-w -E --timeout", 1),
    "chronic": _wrapper(),
    "watch": _wrapper("-n -d --interval"),
    "strace": _wrapper("-e -o -p -s -u"),
    "ltrace": _wrapper("-e -o -p -s -u"),
    "busybox": _wrapper(),
    "toybox": _wrapper(),
    "caffeinate": _wrapper("-t -w"),
    "entr": _wrapper(),
    "npx": _wrapper("-p --package"),
    "bunx": _wrapper(),
    "uvx": _wrapper("--from --with -p --python"),
}
# Two words that run the rest.
_RUNNERS = {
    ("uv", "run"): _wrapper("--with --extra --group -p --python --directory --project --env-file -m --module"),
    ("poetry", "run"): _wrapper(),
    ("hatch", "run"): _wrapper(),
    ("pipenv", "run"): _wrapper(),
    ("pdm", "run"): _wrapper(),
    ("rye", "run"): _wrapper(),
    ("npm", "exec"): _wrapper("-p --package"),
    ("pnpm", "exec"): _wrapper(),
    ("pnpm", "dlx"): _wrapper(),
    ("yarn", "exec"): _wrapper(),
    ("bundle", "exec"): _wrapper(),
    ("direnv", "exec"): _wrapper("", 1),
    ("mise", "exec"): _wrapper(),
    ("conda", "run"): _wrapper("-n -p --name --prefix"),
}
WRAPPERS = frozenset(_WRAPPERS)
_TAKING_SCRIPT = ("script", "flock", "su", "nix-shell", "runuser")
# Variables that hold a command line which some program runs.
_NAMING_COMMAND = re.compile(
    r"\w*(?:PAGER|EDITOR|BROWSER|_COMMAND|_ASKPASS|LESSOPEN|LESSCLOSE)|GIT_EXTERNAL_DIFF|GIT_SSH|VISUAL|RSYNC_RSH"
)
_SEVERAL = re.compile(r"[\s;&|]")  # in a program's name: it is a whole command line
_WITH_MODULES = re.compile(r"(?:python|pypy)[\d.]*\Z")


def unwrap(part: SimpleCommand) -> SimpleCommand:
    """The command inside, its program named without directory; `part` itself where there is none."""
    words, _own = _unwrapped(part)
    if words and (name := _name(words[0])) is not None:
        words[0] = replace(words[0], value=name)
    return replace(part, spoken=tuple(words))


def own_words(part: SimpleCommand) -> tuple[Word, ...]:
    """The words of the wrappers around a command but the first's name, as -C and / in `env -C / ls`."""
    return part.spoken[1 : _unwrapped(part)[1]]


def _unwrapped(part: SimpleCommand) -> tuple[list[Word], int]:
    """The words of the command inside, and the number of words before them."""
    words = list(part.spoken)
    own = 0
    while words:
        name = _name(words[0])
        if name and _WITH_MODULES.match(name) and len(words) > 2 and words[1].value == "-m":
            words, own = words[2:], own + 2  # python -m twine …
            break
        if name in _WRAPPERS:
            wrapper, count = _WRAPPERS[name], 1
        elif len(words) > 1 and (runner := _RUNNERS.get((name or "", words[1].value or ""))):
            wrapper, count = runner, 2
        else:
            break
        rest = _behind_options(words[count:], wrapper)[wrapper.before :]
        if not rest:
            break
        options = words[count : -len(rest)]
        own += len(words) - len(rest)
        words = rest
        if wrapper.adds:
            words = [*(_with_replaced(word, options) for word in rest), Word(None, "…")]
    return words, own


def settings(part: SimpleCommand) -> Iterator[tuple[str, Word]]:
    """The variables that a command is given, as in `A=1 make` and `env A=1 make`, and to what each is set."""
    yield from part.assigned
    for word in own_words(part):
        name, equals, value = (word.value or "").partition("=")
        if equals and name.isidentifier():
            yield name, Word(value, value)


def scripts_of(part: SimpleCommand, inner: SimpleCommand) -> Iterator[Word]:
    """The texts that are run as command lines around `inner`: `env -S '…'`, `watch '…'`, `PAGER='…' x`."""
    words = part.spoken
    first = _name(words[0]) if words else ""
    for word, following in pairwise(words):
        value = word.value or ""
        if value in ("-S", "--split-string") and first == "env":
            yield following
        if (value == "--command" or re.fullmatch(r"-[a-zA-Z]*c", value)) and first in _TAKING_SCRIPT:
            yield following
        if value == "--run" and first == "nix-shell":
            yield following
        if value == "-C" and first in ("mapfile", "readarray"):
            yield following
    if inner != part and inner.spoken and _SEVERAL.search(inner.spoken[0].value or ""):
        yield inner.spoken[0]  # one word that is a whole command line, as watch and parallel take it
    yield from (word for name, word in settings(part) if _NAMING_COMMAND.fullmatch(name))


def _with_replaced(word: Word, options: list[Word]) -> Word:
    """`word` as `xargs -I{} …` makes it: computed if it holds the placeholder."""
    marks = [following.value for option, following in pairwise(options) if option.value in ("-I", "--replace")]
    marks += [(option.value or "")[2:] for option in options if (option.value or "").startswith("-I")]
    is_replaced = any(mark and mark in word.spelled for mark in (*marks, "{}"))
    return Word(None, word.spelled, word.is_quoted) if is_replaced else word


def _name(word: Word) -> str | None:
    if word.value is None or _SEVERAL.search(word.value):
        return word.value
    return word.value.rpartition("/")[2]


def _behind_options(words: list[Word], wrapper: _Wrapper) -> list[Word]:
    index = 0
    while index < len(words):
        value = words[index].value
        if not words[index].spelled.startswith("-") and not (
            wrapper.assigns and value and _is_assignment(value)
        ):
            break
        index += 2 if value in wrapper.valued else 1
        if value == "--":
            break
    return words[index:]


def _is_assignment(value: str) -> bool:
    name, equals, _rest = value.partition("=")
    return bool(equals) and name.replace("_", "a").isalnum()
