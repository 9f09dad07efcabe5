"""Programs that run what they are given: the command inside `env A=1 timeout 5 …`. Pure."""

import re
from dataclasses import dataclass, replace

from app.agent.commands.parts import Part, Word

SHELLS = frozenset(["bash", "sh", "zsh", "dash", "ksh", "fish", "ash"])


@dataclass(frozen=True, slots=True)
class _Wrapper:
    """How a wrapper's own words are told from the command: `valued` are options with a value in a word of its
    own, `before` how many words stand before the command, `adds` whether it gives the command more words."""

    valued: frozenset[str] = frozenset()
    before: int = 0
    adds: bool = False


def _wrapper(valued: str = "", before: int = 0, adds: bool = False) -> _Wrapper:
    return _Wrapper(frozenset(valued.split()), before, adds)


_WRAPPERS = {
    "env": _wrapper("-u --unset -C --chdir -S --split-string"),
    "nohup": _wrapper(),
    "nice": _wrapper("-n --adjustment"),
    "time": _wrapper("-f -o --format --output"),
    "gtime": _wrapper("-f -o --format --output"),
    "timeout": _wrapper("-s -k --signal --kill-after", 1),
    "gtimeout": _wrapper("-s -k --signal --kill-after", 1),
    "command": _wrapper(),
    "exec": _wrapper("-a"),
    "builtin": _wrapper(),
    "coproc": _wrapper(),
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
_WITH_MODULES = re.compile(r"(?:python|pypy)[\d.]*\Z")


def unwrap(part: Part) -> Part:
    """The command inside, its program named without directory; `part` itself where there is none."""
    words = list(part.spoken)
    while words:
        name = _name(words[0])
        if name and _WITH_MODULES.match(name) and len(words) > 2 and words[1].value == "-m":
            words = words[2:]  # python -m twine …
            break
        if name in _WRAPPERS:
            wrapper, own = _WRAPPERS[name], 1
        elif len(words) > 1 and (runner := _RUNNERS.get((name or "", words[1].value or ""))):
            wrapper, own = runner, 2
        else:
            break
        rest = _behind_options(words[own:], wrapper)[wrapper.before :]
        if not rest:
            break
        words = [*rest, *([Word(None, "…")] if wrapper.adds else [])]
    if words and (name := _name(words[0])) is not None:
        words[0] = replace(words[0], value=name)
    return replace(part, spoken=tuple(words))


def script_of(part: Part) -> Word | None:
    """The text that a wrapper takes apart and runs itself, as in `env -S '…'`."""
    words = part.spoken
    for word, following in zip(words, (*words[1:], None), strict=True):
        if word.value in ("-S", "--split-string") and _name(words[0]) == "env":
            return following
        if word.value in ("-c", "--command") and _name(words[0]) in _TAKING_SCRIPT:
            return following
        if word.value == "--run" and _name(words[0]) == "nix-shell":
            return following
    return None


def _name(word: Word) -> str | None:
    return None if word.value is None else word.value.rpartition("/")[2]


def _behind_options(words: list[Word], wrapper: _Wrapper) -> list[Word]:
    index = 0
    while index < len(words):
        value = words[index].value
        if not words[index].spelled.startswith("-") and not (value and _is_assignment(value)):
            break
        index += 2 if value in wrapper.valued else 1
        if value == "--":
            break
    return words[index:]


def _is_assignment(value: str) -> bool:
    name, equals, _rest = value.partition("=")
    return bool(equals) and name.replace("_", "a").isalnum()
