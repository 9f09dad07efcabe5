"""The kinds of bugs, and how each is planted in a function."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.practice.bugs import errors, values
from app.practice.bugs.sites import Change, Site
from app.practice.draw import Draw
from app.practice.functions.function import Function


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of bug. `errors` are those that it makes Python raise, none where it makes a wrong value; `weight`
    is how often it is chosen."""

    name: str
    description: str
    plant: Callable[[Site], Iterator[Change]]
    weight: float = 1.0
    errors: tuple[str, ...] = ()

    @property
    def is_shown(self) -> bool:
        """What the tests print names the line, or shows None where a result was not returned."""
        return bool(self.errors) or self.name == "missing-return"

    @property
    def is_whole(self) -> bool:
        """With it the file does not load, so that the tests show nothing else, or it is in the imports."""
        return "SyntaxError" in self.errors or "IndentationError" in self.errors or "import" in self.name


_UNKNOWN = ("NameError", "UnboundLocalError")
_SYNTAX = ("SyntaxError",)


def _no_change(_site: Site) -> Iterator[Change]:
    """For kinds that are planted in a file's imports and not in a function."""
    yield from ()


KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "misspelt-name",
            "a variable or function name is misspelt",
            errors.misspelt_name,
            2,
            _UNKNOWN,
        ),
        Kind(
            "misspelt-attribute",
            "a method or attribute name is misspelt",
            errors.misspelt_attribute,
            2,
            ("AttributeError",),
        ),
        Kind("misspelt-key", "a dictionary key is misspelt", errors.misspelt_key, 2, ("KeyError",)),
        Kind("missing-import", "a module is used but not imported", _no_change, 2, ("NameError",)),
        Kind(
            "wrong-import",
            "an import names a module that does not exist",
            _no_change,
            1,
            ("ModuleNotFoundError",),
        ),
        Kind(
            "missing-colon",
            "a colon is missing at the end of a line",
            errors.missing_colon,
            1,
            _SYNTAX,
        ),
        Kind("missing-bracket", "a closing bracket is missing", errors.missing_bracket, 1, _SYNTAX),
        Kind("missing-quote", "a quotation mark is missing", errors.missing_quote, 1, _SYNTAX),
        Kind("single-equals", "= stands where == is meant", errors.single_equals, 1, _SYNTAX),
        Kind(
            "wrong-indentation",
            "a line is indented wrongly",
            errors.wrong_indentation,
            1,
            ("IndentationError",),
        ),
        Kind("missing-conversion", "str() or int() is missing", errors.missing_conversion, 2, ("TypeError",)),
        Kind("missing-argument", "a call lacks an argument", errors.missing_argument, 1, ("TypeError",)),
        Kind("missing-self", "self is missing", errors.missing_self, 2, ("NameError", "TypeError")),
        Kind(
            "missing-assignment",
            "a variable is never given its first value",
            errors.missing_assignment,
            1,
            _UNKNOWN,
        ),
        Kind(
            "wrong-exception",
            "another exception is raised than promised",
            errors.wrong_exception,
            2,
            errors.OTHER_EXCEPTIONS,
        ),
        Kind("missing-return", "a result is computed but not returned", errors.missing_return, 2),
        Kind("early-return", "a return stands inside a loop", values.early_return, 1),
        Kind("wrong-operator", "a wrong arithmetic operator", values.wrong_operator, 2),
        Kind("wrong-comparison", "a wrong comparison", values.wrong_comparison, 2),
        Kind("wrong-constant", "a wrong number", values.wrong_constant, 2),
        Kind("wrong-text", "a wrong text", values.wrong_text, 1),
        Kind("wrong-variable", "another variable than the one that is meant", values.wrong_variable, 2),
        Kind("wrong-call", "another function or method than the one that is meant", values.wrong_call, 1),
        Kind("wrong-key", "another key than the one that is meant", values.wrong_key, 1),
        Kind("wrong-flag", "True for False, or False for True", values.wrong_flag, 1),
        Kind("off-by-one", "one too many or one too few", values.off_by_one, 2),
        Kind("wrong-index", "a wrong place of a list", values.wrong_index, 1),
        Kind("swapped-arguments", "two arguments or operands are exchanged", values.swapped, 1),
        Kind("inverted-condition", "a condition is the opposite of what is meant", values.inverted, 1),
        Kind("wrong-connective", "and for or, or or for and", values.wrong_connective, 1),
        Kind("mutable-default", "a default value is shared between calls", values.mutable_default, 1),
    )
}
SHOWN = tuple(kind.name for kind in KINDS.values() if kind.is_shown)
"""Those whose line or value is in what the tests print: the ones that are easiest to find."""


def changes(function: Function, kind: str, draw: Draw) -> list[Change]:
    """All that `kind` could do to the function, each once, in an order that depends on nothing but the function
    and `draw`."""
    site = Site(function, ast.parse("\n".join(function.lines)), draw)
    found: dict[tuple[int, int, tuple[str, ...]], Change] = {}
    for change in KINDS[kind].plant(site):
        if change.lines != function.lines[change.first : change.last]:
            found.setdefault((change.first, change.last, change.lines), change)
    return list(found.values())
