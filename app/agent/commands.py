"""Reading a command line part by part, as bash would, to say what permission it needs. Pure but for looking
where paths lead.

This is for asking well, not for confinement: what a program does once it runs is the sandbox's business.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

# Programs whose first word after the name says what they do.
_WITH_SUBCOMMAND = frozenset(
    [
        "git",
        "npm",
        "npx",
        "pnpm",
        "yarn",
        "cargo",
        "go",
        "uv",
        "pip",
        "pip3",
        "poetry",
        "hatch",
        "docker",
        "kubectl",
        "make",
        "gh",
        "brew",
        "apt",
        "dotnet",
        "bundle",
    ]
)
_INTERPRETERS = re.compile(r"(?:python|pypy|node|ruby|perl|php|deno|bun|lua)[\d.]*\Z")
_SHELLS = frozenset(["bash", "sh", "zsh", "dash", "ksh", "fish"])
# Programs that run what they are given: unwrapped, and what is inside is judged.
_WRAPPERS = frozenset(
    [
        "env",
        "nohup",
        "nice",
        "time",
        "timeout",
        "command",
        "exec",
        "builtin",
        "stdbuf",
        "xargs",
        "setsid",
        "ionice",
    ]
)
# Never granted by name alone: what follows decides everything.
_EXACT_ONLY = (
    _SHELLS
    | _WRAPPERS
    | frozenset(
        ["rm", "mv", "dd", "eval", "source", ".", "find", "ssh", "sed", "awk", "tee", "chmod", "chown", "ln"]
    )
)
_TAKING_PATTERN = frozenset(["sed", "awk", "grep", "egrep", "rg", "perl"])
_NEEDS_VALUE = {"timeout": 1}
_DESTRUCTIVE = {
    "sudo": "runs as another user",
    "doas": "runs as another user",
    "su": "runs as another user",
    "dd": "overwrites raw data",
    "shred": "destroys files",
    "truncate": "cuts files off",
    "shutdown": "stops the machine",
    "reboot": "stops the machine",
    "halt": "stops the machine",
    "killall": "ends processes by name",
    "pkill": "ends processes by name",
    "eval": "runs text as a command",
}
_GIT_DESTRUCTIVE = {
    "push": (None, "publishes commits"),
    "reset": ("--hard --merge --keep", "discards changes"),
    "clean": (None, "deletes untracked files"),
    "restore": (None, "discards changes"),
    "checkout": (None, "can discard changes"),
    "commit": ("--amend", "rewrites history"),
    "rm": ("-f --force", "deletes changed files"),
    "switch": ("-f --force --discard-changes", "discards changes"),
    "branch": ("-D -d --delete", "deletes a branch"),
    "tag": ("-d --delete", "deletes a tag"),
    "stash": (None, "puts changes away or discards them"),
    "reflog": ("expire delete", "discards history"),
    "gc": ("--prune", "discards history"),
    "filter-branch": (None, "rewrites history"),
    "rebase": (None, "rewrites history"),
    "update-ref": (None, "rewrites history"),
    "config": ("--global --system", "changes git's settings outside the workspace"),
    "worktree": ("remove", "deletes a work tree"),
}
_PUBLISHING = {
    ("npm", "publish"),
    ("cargo", "publish"),
    ("twine", "upload"),
    ("uv", "publish"),
    ("gh", "release"),
}
_HARMLESS = frozenset(("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty"))


@dataclass(frozen=True, slots=True)
class Part:
    """One simple command. A word is None where its value is known only when it runs."""

    words: tuple[str | None, ...]
    text: str
    writes: tuple[str | None, ...] = ()
    has_assignment: bool = False
    is_fed_by_pipe: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """`parts` of the command; `reasons`, in words, why it must be asked about whatever was granted."""

    parts: tuple[Part, ...]
    reasons: tuple[str, ...]


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bash.language()))


def judge(command: str, directory: Path, root: Path) -> Judgement:
    """Take `command`, to be run in `directory`, apart and look for what is destructive or leaves `root`."""
    tree = _parser().parse(command.encode())
    parts = tuple(_parts(tree.root_node))
    reasons: list[str] = []
    if tree.root_node.has_error or not parts:
        reasons.append("it cannot be taken apart with certainty")
    place = directory
    for part in parts:
        inner = unwrap(part)
        reasons += _destruction(inner)
        if inner.words and inner.words[0] in _SHELLS:
            reasons += _shell(inner, place, root)
        for word in (*_arguments(inner), *part.writes):
            reasons += _leaving(word, place, root) if word is not None else []
        if None in part.writes:
            reasons.append("it writes to a file whose name is computed")
        if inner.words and inner.words[0] in ("cd", "pushd"):
            target = inner.words[1] if len(inner.words) > 1 else "~"
            if target is None:
                reasons.append("it changes to a directory whose name is computed")
            else:
                place = Path(os.path.normpath(place / Path(target).expanduser()))
                if len(inner.words) == 1:
                    reasons += _leaving("~", place, root)
    return Judgement(parts, tuple(dict.fromkeys(reasons)))


def _parts(node: Node, is_fed_by_pipe: bool = False) -> Iterator[Part]:
    """The simple commands below `node`, in order, those in substitutions included."""
    if node.type == "redirected_statement":
        body, writes = node.children[0], tuple(_write_targets(node))
        inner = list(_parts(body, is_fed_by_pipe))
        # A redirection belongs to the whole statement: to its last command, for our purpose.
        if inner:
            inner[-1] = replace(inner[-1], writes=inner[-1].writes + writes)
        elif writes:
            inner = [Part((":",), _text(node), writes)]
        yield from inner
        for child in node.children[1:]:
            yield from _parts(child)
        return
    if node.type in ("command", "test_command", "declaration_command", "unset_command"):
        words = [
            _value(child)
            for child in node.named_children
            if child.type not in ("variable_assignment", "file_redirect", "herestring_redirect", "comment")
        ]
        if node.type != "command":
            words = [":"]
        yield Part(
            tuple(words),
            _text(node),
            tuple(_write_targets(node)),
            any(child.type == "variable_assignment" for child in node.named_children),
            is_fed_by_pipe,
        )
    for index, child in enumerate(node.named_children):
        yield from _parts(child, is_fed_by_pipe or (node.type == "pipeline" and index > 0))


def _write_targets(node: Node) -> Iterator[str | None]:
    for child in node.named_children:
        if child.type != "file_redirect":
            continue
        operator = next((item.type for item in child.children if not item.is_named), "")
        target = child.named_children[-1]
        if operator in (">", ">>", "&>", "&>>", ">|", "<>") or (operator == ">&" and target.type != "number"):
            yield _value(target)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _value(node: Node) -> str | None:
    """What a word is when bash has read it; None when that depends on the moment."""
    if node.type in ("word", "number"):
        text = _text(node)
        return (
            None if re.search(r"(?<!\\)[*?\[{]", text) and text[:1] in "/~." else re.sub(r"\\(.)", r"\1", text)
        )
    if node.type == "command_name":
        return _value(node.named_children[0]) if node.named_children else _text(node)
    if node.type == "raw_string":
        return _text(node)[1:-1]
    if node.type in ("string", "concatenation"):
        parts = [_value(child) for child in node.named_children]
        return None if None in parts else "".join(part for part in parts if part is not None)
    if node.type == "string_content":
        return _text(node)
    if node.type in ("simple_expansion", "expansion") and _text(node) in ("$HOME", "${HOME}"):
        return str(Path.home())
    return None


def unwrap(part: Part) -> Part:
    """The command inside `env A=1 timeout 5 …`."""
    words = list(part.words)
    while words and words[0] in _WRAPPERS:
        name = words.pop(0)
        while words and words[0] is not None and (words[0].startswith("-") or "=" in words[0]):
            words.pop(0)
        del words[: _NEEDS_VALUE.get(name or "", 0)]
    return replace(part, words=tuple(words))


def _flags(words: tuple[str | None, ...]) -> set[str]:
    """Options, the short ones taken apart: -rf is -r and -f."""
    flags: set[str] = set()
    for word in words:
        if word and word.startswith("-") and not word.startswith("--"):
            flags |= {word, *(f"-{letter}" for letter in word[1:])}
        elif word:
            flags.add(word)
    return flags


def _destruction(part: Part) -> list[str]:
    if not part.words:
        return []
    if part.words[0] is None:
        return ["it runs a program whose name is computed"]
    name, arguments = Path(part.words[0]).name, part.words[1:]
    flags = _flags(arguments)
    reasons = []
    if name in _DESTRUCTIVE:
        reasons.append(f"`{name}` {_DESTRUCTIVE[name]}")
    if name.startswith("mkfs"):
        reasons.append(f"`{name}` formats a disk")
    if name == "rm" and flags & {"-r", "-R", "-f", "--recursive", "--force"}:
        reasons.append("`rm` with these options deletes without asking")
    if name in ("rm", "rmdir", "mv", "unlink") and None in arguments:
        reasons.append(f"`{name}` acts on files whose names are computed")
    if name == "find" and flags & {"-delete", "-exec", "-execdir", "-ok"}:
        reasons.append("`find` acts on every file it finds")
    if name in ("chmod", "chown", "chgrp") and flags & {"-R", "--recursive"}:
        reasons.append(f"`{name} -R` changes whole directories")
    if name == "kill" and ("-1" in arguments[1:] or "1" in arguments):
        reasons.append("`kill` would reach processes of others")
    if name in _SHELLS and part.is_fed_by_pipe:
        reasons.append("it runs what another program prints")
    if (name, arguments[0] if arguments else None) in _PUBLISHING:
        reasons.append(f"`{name} {arguments[0]}` publishes")
    if name == "git":
        reasons += _git(arguments)
    return reasons


def _git(arguments: tuple[str | None, ...]) -> list[str]:
    rest = list(arguments)
    if rest and rest[0] is not None and rest[0].startswith("-"):
        return ["git is given options of its own, which can run programs or act elsewhere"]
    if not rest:
        return []
    if rest[0] is None:
        return ["it runs a git command whose name is computed"]
    rule = _GIT_DESTRUCTIVE.get(rest[0])
    if rule is None or rest[:2] in (["checkout", "-b"], ["stash", "list"], ["stash", "show"]):
        return []
    words, reason = rule
    if words is None or _flags(tuple(rest[1:])) & set(words.split()):
        return [f"`git {rest[0]}` {reason}"]
    return []


def _shell(part: Part, place: Path, root: Path) -> list[str]:
    """`bash -c TEXT`: the text is judged like any command."""
    for index, word in enumerate(part.words[1:], 1):
        if word and word.startswith("-") and word.endswith("c"):
            script = part.words[index + 1] if index + 1 < len(part.words) else None
            if script is None:
                return ["it runs a script that is computed"]
            return list(judge(script, place, root).reasons)
    return []


def _arguments(part: Part) -> list[str | None]:
    """The words that may be paths: of `sed '/a/p' file`, not the pattern, unless something is there."""
    words = list(part.words[1:])
    if part.words and part.words[0] in _TAKING_PATTERN:
        pattern = next((word for word in words if word is None or not word.startswith("-")), None)
        if pattern is not None and not Path("/", *Path(pattern).parts[:2]).exists():
            words.remove(pattern)
    return words


def _leaving(word: str, place: Path, root: Path) -> list[str]:
    """Why `word`, read as a path, needs asking about."""
    if word.startswith("-"):
        # -I/usr/include, --prefix=/usr
        _, _, word = word.partition("=") if "=" in word else ("", "", word[2:])
    is_path = word.startswith(("/", "~")) or ".." in word.split("/") or ".git" in word.split("/")
    if not is_path and not (place / word).is_symlink():
        return []
    if word in _HARMLESS or "://" in word:
        return []
    try:
        path = Path(os.path.realpath(place / Path(word).expanduser()))
    except (ValueError, RuntimeError, OSError):
        return [f"{word} cannot be located"]
    if path.is_relative_to(root / ".git"):
        return ["it names git's own files"]
    if path.is_relative_to(root) or _is_scratch(path, root):
        return []
    return [f"{word} is outside the workspace"]


def _is_scratch(path: Path, root: Path) -> bool:
    """Whether `path` lies in the folder for temporary files. A workspace that lies there too has neighbours in
    it, and then it is no scratch space."""
    places = (Path(os.path.realpath(tempfile.gettempdir())), Path("/private/tmp"))
    return any(
        path != place and path.is_relative_to(place) and not root.is_relative_to(place) for place in places
    )


def grant_for(part: Part) -> tuple[str, bool]:
    """What "always" grants for this part, and whether it is a prefix: (`git diff`, True) allows whatever begins
    with those words, (`python -c '…'`, False) only that very text."""
    words = part.words
    if part.has_assignment or part.writes or not words or words[0] is None or words[0] in _EXACT_ONLY:
        return part.text, False
    count = 1
    if words[0] in _WITH_SUBCOMMAND:
        count = 2
    elif _INTERPRETERS.match(words[0]):
        count = 3 if len(words) > 1 and words[1] == "-m" else 2
    head = words[:count]
    if len(head) < count or None in head or (count > 1 and (head[1] or "").startswith("-") and head[1] != "-m"):
        return part.text, False
    return " ".join(word for word in head if word is not None), True
