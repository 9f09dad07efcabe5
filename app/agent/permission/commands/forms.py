"""The commands written literally inside a command, for rules that name what they deny. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.agent.permission.commands.simple_commands import SimpleCommand, Word
from app.agent.permission.commands.wrapped import unwrap

_AS_ANOTHER = frozenset(["sudo", "doas", "ssh-agent", "xvfb-run", "unshare", "chroot", "runuser", "setpriv"])
"""Programs that run the rest of their words and that a grant never reaches through."""
_VALUED_OF_OTHERS = frozenset(["-u", "-g", "-h", "-p", "-C", "-t", "-a", "-n", "-s", "--user", "--group"])
_WORDS_BEFORE = {"chroot": 1}
_VALUED_OF_GIT = frozenset(
    ["-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--config-env"]
)
_EXECUTING = frozenset(["-exec", "-execdir", "-ok", "-okdir"])  # of find
_DEEPEST = 8
"""Levels of commands within commands (`bash -c "env -S …"`) that are read; deeper ones are asked about."""


def forms(part: SimpleCommand, depth: int = 0) -> Iterator[SimpleCommand]:
    """`part`, and every command that its own words spell: behind wrappers, behind `sudo`, behind git's options,
    behind find's -exec."""
    yield part
    inner = unwrap(part)
    if inner != part:
        yield inner
    if depth == _DEEPEST:
        return
    for words in _inside(inner):
        if words:
            yield from forms(replace(inner, spoken=tuple(words)), depth + 1)


def _inside(part: SimpleCommand) -> Iterator[Sequence[Word]]:
    name, words = part.name or "", part.spoken
    if name in _AS_ANOTHER:
        yield _behind(words[1:], _VALUED_OF_OTHERS)[_WORDS_BEFORE.get(name, 0) :]
    elif name == "git":
        rest = _behind(words[1:], _VALUED_OF_GIT)
        if len(rest) < len(words) - 1:
            yield (words[0], *rest)
        if rest and rest[0].value == "bisect" and len(rest) > 1 and rest[1].value == "run":
            yield rest[2:]
    elif name == "find":
        values = [word.value for word in words]
        for start, value in enumerate(values):
            if value in _EXECUTING:
                end = next((at for at in range(start, len(values)) if values[at] in (";", "+")), len(values))
                yield words[start + 1 : end]


def _behind(words: Sequence[Word], valued: frozenset[str]) -> Sequence[Word]:
    """`words` from behind the options on."""
    index = 0
    while index < len(words) and words[index].spelled.startswith("-"):
        index += 2 if words[index].value in valued else 1
    return words[index:]
