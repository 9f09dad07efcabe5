"""Functions and classes for practice repositories, made from templates and compositions."""

import ast
import builtins
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from app.practice.draw import Draw
from app.practice.functions.arguments import filled
from app.practice.functions.templates.choices import CHOICES
from app.practice.functions.templates.classes import CLASSES
from app.practice.functions.templates.lists import LISTS
from app.practice.functions.templates.numbers import NUMBERS
from app.practice.functions.templates.records import RECORDS
from app.practice.functions.templates.texts import TEXTS
from app.practice.functions.words import PLURALS, SYNONYMS

_FIELDS = (("price", "number"), ("weight", "count"), ("width", "height"), ("rate", "hours"), ("cost", "units"))
_SEPARATORS = ((",", "a comma"), ("-", "a dash"), (" ", "a space"), ("/", "a slash"))
_CONSTANT = re.compile(r"\b(K|M|LOW|HIGH|KEYA|KEYB|SEP|SEPNAME)\b")
_NO_DOCSTRING = 0.04
HELD_OUT = 5
"""One of so many templates, and of so many compositions, is kept out of training."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or class as it should be. `template` names the template or composition it was made from.
    `calls` are expressions to test it by, with places for values (see app.practice.functions.arguments), after
    statements that prepare them, each of which ends in "; "."""

    template: str
    name: str
    lines: tuple[str, ...]
    calls: tuple[str, ...]
    imports: tuple[str, ...] = ()

    @property
    def is_class(self) -> bool:
        """Whether it is a class."""
        return self.lines[0].startswith("class ")

    @property
    def body(self) -> int:
        """The index of the first line after the head and its docstring."""
        return 2 if len(self.lines) > 1 and self.lines[1].lstrip().startswith('"""') else 1


@dataclass(frozen=True, slots=True)
class Template:
    """One entry of the templates. The first of the `names` to choose from is its own."""

    names: tuple[str, ...]
    calls: tuple[str, ...]
    imports: tuple[str, ...]
    code: str


def is_held_out(template: str) -> bool:
    """Whether a template or composition is kept out of training, by a hash of its name."""
    return int(hashlib.sha256(template.encode()).hexdigest(), 16) % HELD_OUT == 0


@cache
def templates() -> Mapping[str, Template]:
    """All templates by name."""
    found = {}
    for entry in "".join((LISTS, NUMBERS, TEXTS, RECORDS, CHOICES, CLASSES)).split("\n== ")[1:]:
        names, _, rest = entry.partition("\n")
        lines = rest.rstrip("\n").split("\n")
        start = next(index for index, line in enumerate(lines) if line.startswith(("def ", "class ")))
        calls = tuple(line[2:] for line in lines[:start] if line.startswith("? "))
        imports = tuple(line[2:] for line in lines[:start] if line.startswith("! "))
        template = Template(tuple(names.split()), calls, imports, "\n".join(lines[start:]))
        found[template.names[0]] = template
    return found


def from_template(name: str, draw: Draw) -> Function:
    """The template of that name, with names, constants and words drawn for it."""
    template = templates()[name]
    low = draw.integer(40, 60)
    fields = draw.shuffled(draw.choice(_FIELDS))
    separator, separator_name = draw.choice(_SEPARATORS)
    constants = {
        "K": str(draw.integer(2, 9)),
        "M": str(draw.integer(10, 60)),
        "LOW": str(low),
        "HIGH": str(low + draw.integer(10, 35)),
        "KEYA": fields[0],
        "KEYB": fields[1],
        "SEP": separator,
        "SEPNAME": separator_name,
    }

    def filled_in(text: str) -> str:
        return _CONSTANT.sub(lambda match: constants[match[1]], text)

    code = filled_in(template.code)
    head, quote, rest = code.partition('"""')
    doc, end, body = rest.partition('"""')
    code = head + quote + draw.choice(doc.split("|")) + end + body
    chosen = draw.choice(template.names)
    made = Function(
        template.names[0], "F", tuple(code.split("\n")), tuple(map(filled_in, template.calls)), template.imports
    )
    if not made.is_class:
        made = renamed(made, draw)
        if draw.chance(_NO_DOCSTRING):
            made = replace(made, lines=(made.lines[0], *made.lines[made.body :]))
    return named(made, chosen)


def named(function: Function, name: str) -> Function:
    """The function, now called `name` where it is called F."""

    def of(text: str) -> str:
        return re.sub(r"\bF\b", name, text)

    return replace(
        function,
        name=name,
        lines=tuple(map(of, function.lines)),
        calls=tuple(map(of, function.calls)),
    )


def renamed(function: Function, draw: Draw) -> Function:
    """The function with other names for its parameters and variables, in its docstring too."""
    tree = ast.parse("\n".join(function.lines))
    parameters = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound = parameters | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    used = bound | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for _ in range(10):
        new = {name: draw.choice(SYNONYMS[name]) for name in sorted(bound) if name in SYNONYMS}
        if "values" in bound:
            new["values"], single = draw.choice(PLURALS)
            if "value" in bound:
                new["value"] = single
        others = used - set(new)
        if len(set(new.values())) == len(new) and not set(new.values()) & (others | set(dir(builtins))):
            break
    else:
        return function
    if not new:
        return function
    words = re.compile(rf"(?<![.\w\"'])({'|'.join(new)})\b(?![\"'])")
    told = re.compile(rf"\b({'|'.join(set(new) & parameters) or 'F F'})\b")
    body = function.body
    lines = [words.sub(lambda match: new[match[1]], line) for line in function.lines]
    if body == 2:
        lines[1] = told.sub(lambda match: new[match[1]], function.lines[1])
    return replace(function, lines=tuple(lines))


def call(function: Function, draw: Draw, which: int) -> tuple[tuple[str, ...], str]:
    """Statements and an expression that test the function, from its call number `which`."""
    *before, expression = filled(function.calls[which % len(function.calls)], draw).split("; ")
    return tuple(before), expression


def training_templates(held_out: bool = False) -> tuple[str, ...]:
    """The names of the templates that training uses, or of those it never sees."""
    return tuple(name for name in templates() if is_held_out(name) == held_out)
