"""Whether a command only reads, so that it may run without a question. Pure.

What is not known here does not only read. A program counts by its bare name: with a directory in front it may
be another one.
"""

import re
from collections.abc import Callable, Sequence

from app.agent.permission.commands.judge import Judgement
from app.agent.permission.commands.options import has, names
from app.agent.permission.commands.simple_commands import SimpleCommand

# Programs, and the options with which they write, or run another program.
_READERS: dict[str, str] = {
    **dict.fromkeys(
        names("""
            [ : basename cat cd cmp comm cut df diff dirname du egrep expand expr false fgrep fold grep head
            hexdump join ls md5 md5sum nl od paste pwd readlink realpath rev seq sha1sum sha256sum shasum
            stat strings tac tail test tr true type uname unexpand wc which whoami
        """),
        "",
    ),
    "column": "",
    "date": "-s --set",
    "echo": "",
    "fd": "-x -X --exec --exec-batch",
    "file": "-C --compile",
    "find": "-exec -execdir -ok -okdir -delete -fprint -fprint0 -fprintf -fls",
    "jq": "",
    "printf": "-v",
    "rg": "--pre --hostname-bin -z --search-zip",
    "sort": "-o --output --compress-program",
    "tree": "-o -R",
}
# Subcommands of git, and the options with which they write, or run another program.
_GIT: dict[str, str] = {
    **dict.fromkeys(
        names("blame cat-file describe diff diff-tree for-each-ref log ls-files ls-tree merge-base name-rev"),
        "--output --ext-diff --textconv --filters",
    ),
    **dict.fromkeys(
        names("rev-list rev-parse shortlog show show-ref status"), "--output --ext-diff --textconv"
    ),
    "grep": "-O --open-files-in-pager --textconv",
}
_GIT_BEFORE = names("--no-pager -P --no-optional-locks")
_LISTING_BRANCHES = names("-a --all -r --remotes -v -vv --list -l --show-current --merged --no-merged")
_PRINTED_LINES = re.compile(r"\d+(,(\d+|\$))?p|\$p")


def only_reads(judgement: Judgement) -> bool:
    """Whether each part of a command, which was taken apart without a reason to ask about it, only reads."""
    return (
        bool(judgement.parts)
        and not (judgement.reasons or judgement.is_computed or judgement.inner)
        and all(_reads(part) for part in judgement.parts)
    )


def _reads(part: SimpleCommand) -> bool:
    if part.assigned or any(word.value != "/dev/null" for word in part.writes):
        return False
    words = [word for word in part.words if word is not None]
    if len(words) != len(part.words) or not words:
        return False
    name, *arguments = words
    if name in _BY_HAND:
        return _BY_HAND[name](arguments)
    writing = _READERS.get(name)
    return writing is not None and not _has(arguments, writing)


def _has(arguments: Sequence[str], options: str) -> bool:
    # Programs such as find have long options with one hyphen.
    single = {option for option in options.split() if len(option) > 2 and not option.startswith("--")}
    return any(word in single for word in arguments) or has(
        arguments, [option for option in options.split() if option not in single]
    )


def _git_reads(arguments: Sequence[str]) -> bool:
    rest = list(arguments)
    while rest and rest[0] in _GIT_BEFORE:
        del rest[0]
    if not rest:
        return False
    name, *rest = rest
    if name == "branch":
        return all(word in _LISTING_BRANCHES for word in rest)
    if name == "stash":
        return rest[:1] in (["list"], ["show"]) and not has(rest, "--output --ext-diff --textconv")
    if name == "remote":
        return rest in ([], ["-v"])
    return name in _GIT and not has(rest, _GIT[name])


def _sed_prints(arguments: Sequence[str]) -> bool:
    """`sed -n 10,20p FILE`; any other script of sed may write files."""
    return (
        len(arguments) >= 2
        and arguments[0] == "-n"
        and _PRINTED_LINES.fullmatch(arguments[1]) is not None
        and not any(word.startswith("-") for word in arguments[2:])
    )


def _uniq_reads(arguments: Sequence[str]) -> bool:
    """The second file of uniq is one that it writes; an option's number may look like the first."""
    return sum(not word.startswith("-") for word in arguments) <= 1


_BY_HAND: dict[str, Callable[[Sequence[str]], bool]] = {
    "git": _git_reads,
    "sed": _sed_prints,
    "uniq": _uniq_reads,
}
