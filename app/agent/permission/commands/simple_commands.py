"""A command line parsed into simple commands, as bash's grammar calls them. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from app.agent.permission.commands.options import names

_SUBSTITUTION = re.compile(r"(?<!\\)(?:`|\$\()")
_GLOB = re.compile(r"(?<!\\)[*?\[{]")
_WORDS = names(
    "word number string raw_string ansi_c_string translated_string concatenation simple_expansion expansion "
    "command_substitution process_substitution arithmetic_expansion brace_expression"
)
_OF_REDIRECTION = names("file_descriptor heredoc_start heredoc_body heredoc_end")
_TESTED = names("word string raw_string concatenation simple_expansion expansion command_substitution")
_EVALUATED = re.compile(r"\$\{[^}]*@P\}")  # as a prompt, in which commands are run
_RESERVED = names("! { } ( ) (( [[ if then elif else fi for while until do done case esac select function in")
# Where a line goes on within a word, or an empty one goes on, the grammar sees a border, or none.
_CONTINUED = re.compile(r"[^\s\\]\\\n|\n[ \t]*\\\n")
# Characters. The grammar's recovery from errors takes time in the square of a malformed command's length:
# 24,000 times "<" take 0.75 s on one core of a Linux server.
_LONGEST = 32_000


@dataclass(frozen=True, slots=True)
class Word:
    """`value` is what bash makes of it, None where that is known only when it runs; `spelled` is its text."""

    value: str | None
    spelled: str
    is_quoted: bool = False


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One simple command. `assigned` are the variables it sets, and to what. `fed` is the text it gets as input
    (a here-document or here-string), None without; `is_fed_by_program` says that its input is what another
    program prints."""

    spoken: tuple[Word, ...]
    text: str
    reads: tuple[Word, ...] = ()
    writes: tuple[Word, ...] = ()
    assigned: tuple[tuple[str, Word], ...] = ()
    fed: str | None = None
    is_fed_by_program: bool = False

    @property
    def words(self) -> tuple[str | None, ...]:
        """The values of its words: the program's name and its arguments."""
        return tuple(word.value for word in self.spoken)

    @property
    def name(self) -> str | None:
        """The program's name without its directory; None where it is computed, "" where there is none."""
        if not self.spoken:
            return ""
        value = self.spoken[0].value
        return None if value is None else value.rpartition("/")[2]


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bash.language()))


def simple_commands_of(command: str) -> tuple[tuple[SimpleCommand, ...], bool]:
    """The simple commands in order, those in substitutions included, and whether that is certain to be all.
    A command that is too long to be parsed in reasonable time is not certain."""
    if len(command) > _LONGEST:
        return (), False
    root = _parser().parse(command.encode()).root_node
    parts = tuple(_parts(root))
    is_certain = not (root.has_error or _CONTINUED.search(command) or _EVALUATED.search(command))
    is_certain = is_certain and not (_hides_commands(root) or _strays(root))
    return parts, is_certain and bool(parts) and not any(_is_no_command(part) for part in parts)


def _is_no_command(part: SimpleCommand) -> bool:
    """Whether the grammar took one of the shell's own words for a program, as in `! ! …` and `time { … }`."""
    first, *rest = [word.spelled for word in part.spoken] or [""]
    return first in _RESERVED or (first in ("time", "coproc") and any(word in _RESERVED for word in rest[:2]))


def _hides_commands(node: Node) -> bool:
    """Whether a piece that the grammar did not take apart, or not rightly, has a substitution in it."""
    if node.type in ("raw_string", "ansi_c_string", "comment", "heredoc_start", "heredoc_end"):
        return False
    if node.type == "heredoc_redirect" and _is_literal(node):
        return any(_hides_commands(child) for child in node.named_children if child.type != "heredoc_body")
    if node.type == "command_substitution" and _text(node).startswith("`") and "`" in _text(node)[1:-1]:
        return True  # `a` `b` is taken for one
    if node.type == "word" and "\n" in _text(node).replace("\\\n", ""):
        return True  # a line that begins with a backslash is taken for more of the one before
    if not node.named_children:
        return node.type != "command_substitution" and bool(_SUBSTITUTION.search(_text(node)))
    return any(_hides_commands(child) for child in node.named_children)


def _strays(node: Node) -> bool:
    """Whether words behind a redirection may belong to any of several commands, or to none."""
    if node.type == "redirected_statement":
        redirections = [child for child in node.named_children if _is_redirection(child)]
        bodies = [child for child in node.named_children if not _is_redirection(child)]
        if _behind(redirections) and [body.type for body in bodies] not in ([], ["command"]):
            return True
    return any(_strays(child) for child in node.named_children)


def _parts(node: Node, is_piped: bool = False) -> Iterator[SimpleCommand]:
    """The simple commands below `node`."""
    if node.type == "redirected_statement":
        yield from _redirected(node, is_piped)
        return
    if node.type == "variable_assignment":
        yield SimpleCommand((Word(":", ":"),), _text(node), assigned=(_assigned(node),))
    elif node.type == "unset_command":
        yield SimpleCommand((Word("unset", "unset"),), _text(node))
    elif node.type == "declaration_command":
        declared = [child for child in node.named_children if child.type == "variable_assignment"]
        name = Word(*(node.children[0].type,) * 2)
        yield SimpleCommand((name,), _text(node), assigned=tuple(_assigned(child) for child in declared))
    elif node.type == "test_command":
        yield SimpleCommand((Word("test", "test"), *_tested(node)), _text(node))
    elif node.type == "command":
        yield _command(node, is_piped)
    for index, child in enumerate(node.named_children):
        if child.type == "variable_assignment" and node.type in ("command", "declaration_command"):
            yield from _inside(child)
        else:
            yield from _parts(child, is_piped or (node.type == "pipeline" and index > 0))


def _inside(node: Node) -> Iterator[SimpleCommand]:
    for child in node.named_children:
        yield from _parts(child)


def _redirected(node: Node, is_piped: bool) -> Iterator[SimpleCommand]:
    """A statement with redirections. They belong to the whole of it: to its last command, for our purpose."""
    redirections = [child for child in node.named_children if _is_redirection(child)]
    bodies = [child for child in node.named_children if not _is_redirection(child)]
    inner = [part for body in bodies for part in _parts(body, is_piped)]
    reads, writes = _targets(redirections)
    behind = tuple(_word(child) for child in _behind(redirections))
    if inner:
        # Of a command, those in its substitutions come behind it.
        index = 0 if bodies[0].type == "command" else -1
        held = inner[index]
        inner[index] = replace(
            held,
            spoken=held.spoken + behind,
            text=_text(node) if writes or behind else held.text,
            reads=held.reads + reads,
            writes=held.writes + writes,
            fed=_fed(redirections, held.fed),
        )
    else:
        inner = [SimpleCommand(behind or (Word(":", ":"),), _text(node), reads, writes)]
    yield from inner
    for child in redirections:
        for grandchild in child.named_children:
            # Behind the delimiter of a here-document the rest of the line goes on; a pipe there is fed by it.
            yield from _parts(grandchild, child.type == "heredoc_redirect" and grandchild.type == "pipeline")


def _is_redirection(node: Node) -> bool:
    return node.type in ("file_redirect", "heredoc_redirect", "herestring_redirect")


def _behind(redirections: list[Node]) -> list[Node]:
    """The words between or behind redirections, which are the command's: the grammar takes them for targets."""
    found: list[Node] = []
    starts = {node.start_byte for node in redirections}
    for node in redirections:
        inner = [child for child in node.named_children if child.type not in _OF_REDIRECTION]
        if node.type == "file_redirect":
            inner = inner if _closes(node) else inner[1:]
        elif node.type == "heredoc_redirect":
            inner = [child for child in inner if child.type in _WORDS]
        else:
            inner = []
        # 0>&1: the number is the next redirection's
        found += [child for child in inner if not (child.type == "number" and child.end_byte in starts)]
    return found


def _command(node: Node, is_piped: bool) -> SimpleCommand:
    redirections = [child for child in node.named_children if _is_redirection(child)]
    assignments = [child for child in node.named_children if child.type == "variable_assignment"]
    said = [
        child
        for child in node.named_children
        if not _is_redirection(child) and child.type not in ("variable_assignment", "comment")
    ]
    reads, writes = _targets(redirections)
    return SimpleCommand(
        tuple(_word(child) for child in said),
        _text(node),
        reads,
        writes,
        tuple(_assigned(child) for child in assignments),
        _fed(redirections, None),
        is_piped,
    )


def _tested(node: Node) -> Iterator[Word]:
    for child in node.named_children:
        if child.type in _TESTED:
            yield _word(child)
        else:
            yield from _tested(child)


def _assigned(node: Node) -> tuple[str, Word]:
    name, value = (*node.named_children, None)[:2]
    return "" if name is None else _text(name), Word("", "") if value is None else _word(value)


def _targets(redirections: list[Node]) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """The files that are read and written."""
    reads: list[Word] = []
    writes: list[Word] = []
    for node in redirections:
        if node.type == "heredoc_redirect":
            inner = _targets([child for child in node.named_children if child.type == "file_redirect"])
            reads += inner[0]
            writes += inner[1]
        if node.type != "file_redirect":
            continue
        operator = next((item.type for item in node.children if not item.is_named), "")
        target = next((item for item in node.named_children if item.type != "file_descriptor"), None)
        if target is None or _closes(node) or (operator.endswith("&") and target.type == "number"):
            continue
        (reads if operator in ("<", "<&") else writes).append(_word(target))
    return tuple(reads), tuple(writes)


def _closes(redirection: Node) -> bool:
    """2>&- has no target."""
    return any(item.type in (">&-", "<&-") for item in redirection.children)


def _fed(redirections: list[Node], before: str | None) -> str | None:
    for node in redirections:
        if node.type == "herestring_redirect" and node.named_children:
            before = _word(node.named_children[-1]).value or _text(node.named_children[-1])
        if node.type == "heredoc_redirect":
            before = "".join(_text(child) for child in node.named_children if child.type == "heredoc_body")
    return before


def _is_literal(heredoc: Node) -> bool:
    start = next((_text(child) for child in heredoc.named_children if child.type == "heredoc_start"), "")
    return any(mark in start for mark in "'\"\\")


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _word(node: Node) -> Word:
    quoted = node.type in ("string", "raw_string", "ansi_c_string", "translated_string")
    return Word(_value(node), _text(node), quoted)


def _value(node: Node) -> str | None:
    """What a word is when bash has read it; None when that depends on the moment."""
    if node.type in ("word", "number"):
        text = _text(node)
        return None if _GLOB.search(text) and text[:1] in "/~." else re.sub(r"\\(.)", r"\1", text)
    if node.type == "command_name":
        return _value(node.named_children[0]) if node.named_children else _text(node)
    if node.type == "raw_string":
        return _text(node)[1:-1]
    if node.type in ("string", "concatenation"):
        if node.type == "concatenation" and _GLOB.search(_text(node)):
            return None
        parts = [_value(child) for child in node.named_children]
        return None if None in parts else "".join(part for part in parts if part is not None)
    if node.type == "string_content":
        return re.sub(r"\\([$`\"\\])", r"\1", _text(node))
    if node.type in ("simple_expansion", "expansion") and _text(node) in ("$HOME", "${HOME}"):
        return str(Path.home())
    return None
