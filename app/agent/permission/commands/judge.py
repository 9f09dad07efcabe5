"""What a command line needs: its parts, and why it must be asked about whatever was granted."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.agent.permission.commands.code import code_reasons, has_script
from app.agent.permission.commands.destructive import destruction, is_disguised
from app.agent.permission.commands.forms import forms
from app.agent.permission.commands.git import CONFIGURING
from app.agent.permission.commands.leaving import is_there, leaving, leaving_path, leaving_program
from app.agent.permission.commands.options import names
from app.agent.permission.commands.simple_commands import SimpleCommand, Word, simple_commands_of
from app.agent.permission.commands.wrapped import SHELLS, own_words, scripts_of, settings, unwrap

_TAKING_PATTERN = frozenset(["sed", "gsed", "awk", "gawk", "mawk", "grep", "egrep", "fgrep", "rg", "perl"])
_PRINTING = ("echo", "printf")  # of what they are given, only a pattern looks at the disk
_BEFORE_PATTERN = names("-path -ipath -name -iname -wholename -regex -iregex -exclude --exclude -g -I")
_EXCLUDING = ("!", "--exclude", "--ignore", "--glob=!")
_UNCERTAIN = "it cannot be taken apart with certainty"
_APPEND_BOTH = "&>>"  # output and errors, to the end of a file
_DEEPEST = 8  # command lines within command lines


@dataclass(frozen=True, slots=True)
class Judgement:
    """`parts` of the command; `reasons`, in words, why it must be asked about. `is_computed`: what it acts on
    is in part known only when it runs. `inner` are the parts of scripts in it, as in `bash -c '…'`."""

    parts: tuple[SimpleCommand, ...]
    reasons: tuple[str, ...]
    is_computed: bool = False
    inner: tuple[SimpleCommand, ...] = ()


def judge(command: str, directory: Path, root: Path, depth: int = 0) -> Judgement:
    """Parse `command`, to be run in `directory`, and give the reasons to ask about it: it destroys something,
    leaves `root`, or cannot be judged."""
    parts, is_certain = simple_commands_of(command)
    reasons = [] if is_certain and depth < _DEEPEST else [_UNCERTAIN]
    if is_disguised(command):
        reasons.append("it has characters that change what is shown of it, or the order in which it is shown")
    walk = _Walk(directory, root, depth)
    for part in parts:
        reasons += walk.reasons(part)
    words = [word for part in parts for word in (*part.spoken, *part.reads)]
    words += [word for part in parts for _name, word in part.assigned]
    is_computed = any(word.value is None for word in words)
    inner = walk.inner
    if _APPEND_BOTH in command:
        # To bash 3.2, which macOS has, this is `&` and then another command.
        old = judge(command.replace(_APPEND_BOTH, "& >>"), directory, root, depth)
        reasons += old.reasons
        inner += [*old.parts, *old.inner]
    return Judgement(parts, tuple(dict.fromkeys(reasons)), is_computed, tuple(inner))


class _Walk:
    """Through the parts in order, knowing in which directory each is run."""

    def __init__(self, directory: Path, root: Path, depth: int) -> None:
        self._place = self._before = directory
        self._stack: list[Path] = []
        self._root = root
        self._depth = depth
        self.inner: list[SimpleCommand] = []

    def reasons(self, part: SimpleCommand) -> list[str]:
        """Why this part needs asking about."""
        inner = unwrap(part)
        found = destruction(inner)
        if inner != part:
            # The program's directory is gone from the inner one, and a wrapper may be dangerous by itself.
            found += destruction(part)
        texts = dict.fromkeys(self._scripts(part, inner))
        for form in forms(inner):
            texts |= dict.fromkeys(self._scripts(form, unwrap(form)))
        found += [reason for text in texts for reason in self._judge(text)]
        if part.spoken and part.spoken[0].value is not None:
            found += leaving_program(part.spoken[0].value, self._place, self._root)
        set_to = [word for _name, word in part.assigned]
        for word in (*_paths(inner), *own_words(part), *part.reads, *part.writes, *set_to):
            found += leaving(word, self._place, self._root)
        if any(word.value is None for word in part.writes):
            found.append("it writes to a file whose name is computed")
        if any(name.startswith(CONFIGURING) for name, _word in settings(part)):
            found.append("git is given settings, which can run programs")
        found += code_reasons(inner)
        return found + self._move(inner)

    def _judge(self, text: str | None) -> list[str]:
        if text is None:
            return ["it runs a script that is computed"]
        if not text.strip():
            return []
        judged = judge(text, self._place, self._root, self._depth + 1)
        self.inner += [*judged.parts, *judged.inner]
        return list(judged.reasons)

    def _scripts(self, part: SimpleCommand, inner: SimpleCommand) -> Iterator[str | None]:
        """The texts that are run as command lines."""
        for word in scripts_of(part, inner):
            yield word.value
        name = inner.name
        if name == "eval":
            values = [word.value for word in inner.spoken[1:]]
            yield " ".join(value for value in values if value) if None not in values else None
        if name == "trap":
            yield inner.words[1] if len(inner.words) > 1 else ""
        if name not in SHELLS:
            return
        following_words = (*inner.spoken[2:], Word(None, ""))
        for word, following in zip(inner.spoken[1:], following_words, strict=False):
            if word.value and re.fullmatch(r"-\w*c\w*", word.value):
                yield following.value
                return
        if inner.fed is not None and not has_script(inner):
            yield inner.fed

    def _move(self, inner: SimpleCommand) -> list[str]:
        """Follow a change of directory."""
        if inner.name not in ("cd", "pushd", "popd"):
            return []
        plain = [word for word in inner.spoken[1:] if word.value not in ("-P", "-L", "-e", "-@", "--", "-n")]
        if inner.name == "popd":
            self._go(self._stack.pop() if self._stack else self._place)
            return []
        if inner.name == "pushd":
            self._stack.append(self._place)
        target = plain[0].value if plain else "~"
        if target is None:
            return ["it changes to a directory whose name is computed"]
        if target == "-":
            self._go(self._before)
            return []
        found = leaving_path(target, self._place, self._root)
        try:
            self._go(Path(os.path.normpath(self._place / Path(target).expanduser())))
        except RuntimeError:
            return ["it changes to a directory that cannot be located"]
        return found

    def _go(self, place: Path) -> None:
        self._before, self._place = self._place, place


def _paths(part: SimpleCommand) -> list[Word]:
    """The words that may be paths: of `sed '/a/p' file`, not the pattern, unless something is there."""
    words = list(part.spoken[1:])
    if part.name in _PRINTING:
        words = [word for word in words if "*" in word.spelled or "?" in word.spelled]
    if part.name in _TAKING_PATTERN:
        pattern = next((word for word in words if word.value is None or not word.value.startswith("-")), None)
        if pattern is not None and not _is_there(pattern.value):
            words.remove(pattern)
    kept = []
    before: str | None = ""
    for word in words:
        if before not in _BEFORE_PATTERN and not word.spelled.strip("'\"").startswith(_EXCLUDING):
            kept.append(word)
        before = word.value
    return kept


def _is_there(pattern: str | None) -> bool:
    return pattern is not None and is_there(Path("/", *Path(pattern).parts[:2]))
