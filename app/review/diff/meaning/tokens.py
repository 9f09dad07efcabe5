"""A source file as the sequence of what means something in it, whatever its layout: two files of the same
sequence differ by layout alone.

The sequence is the syntax tree written flat (tree-sitter): words with their kinds, and where a node of several
children begins and ends, so that a sequence has one tree and what a formatter adds or drops can be left out:
trailing commas, parentheses around a whole expression, line continuations, semicolons at a line's end. Of texts
(strings, templates) every line counts as it is, but for quotes, and for the indentation of a docstring.
"""

import re
from dataclasses import dataclass, field

from tree_sitter import Node, Parser

from app.grammars import LARGEST, grammar, language_of

# Where layout is only layout; bash and Markdown are not among them.
_READ = frozenset({"python", "javascript", "typescript", "tsx", "rust", "go", "java"})
_TEXT = re.compile(r"string|template|regex|heredoc|char|jsx_text|content|fragment")
_PART = re.compile(r"\w+|\s+|[^\w\s]")
_CLOSERS = frozenset({")", "]", "}", ">"})
# Kinds of nodes around which parentheses say nothing that the flat tree does not say already.
_WITHOUT_PARENTHESES = frozenset(
    {
        "parenthesized_expression",
        "tuple",
        "tuple_pattern",
        "import_from_statement",
        "with_clause",
        "expression_list",
        "pattern_list",
    }
)
# Python writes one thing in several ways, by whether there are parentheses around it.
_SAME_KIND = {
    "expression_list": "tuple",
    "pattern_list": "tuple",
    "tuple_pattern": "tuple",
    "union_type": "binary_operator",
    "generic_type": "subscript",
}
_ONE_ELEMENT = frozenset({"tuple", "tuple_expression", "tuple_type", "tuple_pattern"})
_NO_SEMICOLON = frozenset({"python", "javascript", "typescript", "tsx"})
# Clauses that need not begin where their statement does.
_INSIDE = frozenset({"case_clause", "with_clause", "if_clause", "for_in_clause"})
_DEEPEST = 400  # nodes inside nodes; what nests deeper is no code that somebody wrote


@dataclass(slots=True)
class Tokens:
    """The sequence of a file: each item's `texts` and the row, from 0, that it is in. `names` has the items
    that are identifiers, with whether the name gets its meaning there (a definition, a target of an assignment,
    a parameter). `comments` are apart, as formatters move them over punctuation: text, row, and the index of
    the last word before."""

    texts: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    names: dict[int, bool] = field(default_factory=dict)
    comments: list[tuple[str, int, int]] = field(default_factory=list)
    last_word: int = -1


def can_read(path: str) -> bool:
    """Whether files of this name have tokens."""
    return language_of(path) in _READ


def tokens_of(path: str, data: bytes) -> Tokens | None:
    """The sequence of a file's content; None where it is in no language that is read here, very large, or not
    correct in its language."""
    language = language_of(path)
    if language not in _READ or language is None or len(data) > LARGEST:
        return None
    root = Parser(grammar(language)[0]).parse(data).root_node
    if root.has_error:
        return None
    writer = _Writer(language, data)
    try:
        writer.write(root, None, 0)
    except _UnreadableError:
        return None
    return writer.made


class _UnreadableError(Exception):
    """The tree is deeper than is read, or the grammar is more lenient than the language."""


class _Writer:
    def __init__(self, language: str, data: bytes) -> None:
        self._language = language
        self._data = data
        self.made = Tokens()

    def _put(self, text: str, row: int) -> None:
        self.made.texts.append(text)
        self.made.rows.append(row)

    def write(self, node: Node, parent: Node | None, depth: int) -> None:
        """Add a node to the sequence."""
        if depth > _DEEPEST:
            raise _UnreadableError
        kind = node.type
        if "comment" in kind:
            text = _text(node).lstrip("#/").strip() if "\n" not in _text(node) else _unindented(_text(node))
            self.made.comments.append((text, node.start_point.row, self.made.last_word))
            return
        if kind == "line_continuation":
            return
        children = node.children
        if not children:
            self._leaf(node, parent)
            return
        is_text = bool(_TEXT.search(kind)) and kind != "concatenated_string"
        if is_text and all("escape" in child.type for child in children):
            self._lines(_text(node), node.start_point.row, _is_docstring(node, parent))
            return
        if kind == "argument_list" and len(children) == 2 and parent and parent.type == "class_definition":
            return
        if self._language == "python":
            kind = _SAME_KIND.get(kind, kind)
        if kind == "concatenated_string":
            kind, children = "string", _joined(children)
        if self._language == "python":
            _check_indentation(node, children)
        kept = [not self._says_nothing(node, children, number) for number in range(len(children))]
        is_plain = kind in ("parenthesized_expression", "type_parameter") or sum(kept) == 1
        if not is_plain:
            self._put(f"({kind}", node.start_point.row)
        at, row = node.start_byte, node.start_point.row
        for child, is_kept in zip(children, kept, strict=True):
            if child.start_byte > at and node.type != "concatenated_string":
                self._gap(at, child.start_byte, row, is_text)
            if child.end_byte > at:
                at, row = child.end_byte, child.end_point.row
            if is_kept:
                self.write(child, node, depth + 1)
        if node.end_byte > at:
            self._gap(at, node.end_byte, row, is_text)
        if not is_plain:
            self._put(f"{kind})", self._last_row(node))

    def _last_row(self, node: Node) -> int:
        """The row in which a node's last token is: some nodes take the end of their line with them."""
        return max(node.start_point.row, node.end_point.row - (node.end_point.column == 0))

    def _gap(self, start: int, end: int, row: int, is_text: bool) -> None:
        """What lies between two children: in a text it is part of it."""
        between = self._data[start:end]
        if not is_text and not between.replace(b"\\", b"").strip():
            return  # blanks, and lines that go on
        self._lines(between.decode("utf-8", "replace"), row, unindented=False)

    def _leaf(self, node: Node, parent: Node | None) -> None:
        kind, text, row = node.type, _text(node), node.start_point.row
        if not text:
            return
        if kind in ("string_start", "string_end") or text in ("'", '"'):
            self._put(f"quote {_quote(text)}", row)
        elif _TEXT.search(kind) or "\n" in text:
            self._lines(text, row, _is_docstring(node, parent))
        elif "integer" in kind or "float" in kind or "number" in kind:
            self._word(f"number {_number(text)}", row)
        elif "identifier" in kind:
            self.made.names[len(self.made.texts)] = _is_binding(node)
            self._word(f"{kind} {text}", row)
        elif text[:1].isalnum() or text[:1] == "_":
            self._word(text, row)
        else:
            self._put(text, row)

    def _word(self, text: str, row: int) -> None:
        self.made.last_word = len(self.made.texts)
        self._put(text, row)

    def _lines(self, text: str, row: int, unindented: bool) -> None:
        """A text of the program: each line for itself."""
        if self._language in ("python", "javascript", "typescript", "tsx"):
            text = text.replace("\\'", "'").replace('\\"', '"')
        lines = text.split("\n")
        for number, line in enumerate(lines):
            # In Python a string may be written in parts: of those no word is cut.
            is_cut = self._language == "python" and not unindented
            for part in _PART.findall(line) if is_cut else [line.strip() if unindented else line]:
                if part or not unindented:
                    self._word(f"text {part}", row + number)
            if is_cut and number:
                self._put("text line", row + number)

    def _says_nothing(self, node: Node, children: list[Node], number: int) -> bool:
        """Whether a formatter may put a token in or leave it out."""
        text = children[number].type
        if text in ("(", ")"):
            return node.type in _WITHOUT_PARENTHESES
        if text == ";":
            return self._language in _NO_SEMICOLON and node.type != "for_statement"
        if text != "," or node.type == "token_tree":
            return False
        following = _beside(children, number, 1)
        if following is not None and following.type not in _CLOSERS:
            return False
        before = _beside(children, number, -1)
        if before is None or before.type in (",", "(", "[", "{", "<"):
            return False  # a hole in an array, or a comma alone
        commas = sum(child.type == "," for child in children)
        kind = _SAME_KIND.get(node.type, node.type)
        return commas > 1 or not (kind in _ONE_ELEMENT or (kind in ("subscript", "type_parameter")))


def _check_indentation(node: Node, children: list[Node]) -> None:
    """Refuse statements of a block, and clauses of a statement, that do not begin in one column: the grammar
    takes them."""
    if node.type in ("block", "module"):
        starts = {
            one.start_point.row: one.start_point.column
            for one in reversed(children)
            if one.is_named and "comment" not in one.type
        }
        if len(set(starts.values())) > 1:
            raise _UnreadableError
    if not node.type.endswith("_statement"):
        return
    for child in children:
        # else, elif, except, finally
        is_clause = child.type.endswith("_clause") and child.type not in _INSIDE
        begins_a_line = child.start_point.row > node.start_point.row
        if is_clause and begins_a_line and child.start_point.column != node.start_point.column:
            raise _UnreadableError


def _beside(children: list[Node], number: int, step: int) -> Node | None:
    """The next child or the one before, comments left out."""
    number += step
    while 0 <= number < len(children):
        if "comment" not in children[number].type:
            return children[number]
        number += step
    return None


def _joined(strings: list[Node]) -> list[Node]:
    """The parts of strings written one after the other, without the quotes between those of one kind."""
    parts: list[Node] = []
    kind = ""
    for string in strings:
        inside = string.children or [string]
        begins = _quote(_text(inside[0])) if inside[0].type == "string_start" else ""
        if begins and begins == kind and parts[-1].type == "string_end":
            parts.pop()
            inside = inside[1:]
        kind = begins
        parts += inside
    return parts


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def _quote(text: str) -> str:
    """A string's beginning or end, whichever quotes it has, and however the letters before them are written."""
    prefix = text.rstrip("'\"")
    return f"{prefix.lower().replace('u', '')}{len(text) - len(prefix)}"


def _number(text: str) -> str:
    """A number in one of the ways to write it: 1. and 1.0, .5 and 0.5, capitals or not."""
    text = text.lower()
    return f"{'0' if text[0] == '.' else ''}{text}{'0' if text[-1] == '.' else ''}"


def _unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n"))


def _is_docstring(node: Node, parent: Node | None) -> bool:
    """Whether a text of Python stands for itself, as docstrings do."""
    if node.type != "string_content" or parent is None or parent.type != "string" or parent.parent is None:
        return False
    return parent.parent.type == "expression_statement" and parent.parent.child_count == 1


_BINDING_FIELDS = frozenset({"name", "left", "pattern", "alias", "parameters", "parameter", "declarator"})
_BINDING_KINDS = re.compile(
    r"definition|declaration|declarator|parameter|assignment|_item$|^let|alias|_spec$|^for_|^lambda|named_expr"
)
_PARAMETERS = re.compile(r"parameters$|parameter_list$|^as_pattern_target$")
_LIST = re.compile(r"_list$|^tuple|^list|^pattern_list")
_INSIDE_TARGET = re.compile(
    r"pattern|_list$|^tuple|target|^typed_|parameter|attribute|member|selector|field_expr"
)


def _is_binding(node: Node) -> bool:
    """Whether a name gets its meaning here. Of `a.b = 1` that is b."""
    at = node
    for _ in range(4):
        parent = at.parent
        if parent is None or "keyword_argument" in parent.type:
            return False
        kind = parent.type
        if _PARAMETERS.search(kind):
            return True
        # Which field a child is in takes a look at all before it: not in what may have thousands.
        if not _LIST.search(kind):
            if not (_BINDING_KINDS.search(kind) or _INSIDE_TARGET.search(kind)):
                return False
            name = _field_of(parent, at)
            if name in ("object", "operand", "value", "type", "argument", "right", "body"):
                return False
            if "parameter" in kind or (name in _BINDING_FIELDS and _BINDING_KINDS.search(kind)):
                return True
            if not _INSIDE_TARGET.search(kind):
                return False
        at = parent
    return False


def _field_of(parent: Node, child: Node) -> str:
    for number, one in enumerate(parent.children):
        if one == child:
            return parent.field_name_for_child(number) or ""
    return ""
