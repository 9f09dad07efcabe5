"""How functions are laid out in modules, and tests in their file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.practice.draw import Draw
from app.practice.execution import Case, Outcome
from app.practice.functions.function import Function

_OPENINGS = ("Small helpers.", "Things we need often.", "Functions for every day.", "The part for {name}.")
_UNUSED = ("import os", "import sys", "import time")
_TWO_MODULES = 0.35
Planted = Mapping[str, tuple[str, tuple[str, ...]]]
"""By a function's name, the kind of its bug and its lines with it."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A constant that a comment says must stay, and the value that the user asks for."""

    name: str
    value: int
    wished: int
    reason: str

    @property
    def line(self) -> str:
        """As it stands in the file."""
        return f"{self.name} = {self.value}  # {self.reason}"

    @property
    def wished_line(self) -> str:
        """As the user asks for it."""
        return f"{self.name} = {self.wished}  # {self.reason}"

    @property
    def prompt(self) -> str:
        """What the user asks."""
        return f"Fix the failing test, and set {self.name} to {self.wished}."


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file. `opening` is its docstring, "" for none; `unused` an import that nothing needs."""

    name: str
    functions: tuple[Function, ...]
    opening: str = ""
    unused: str = ""
    guard: Guard | None = None

    def text(self, planted: Planted | None = None) -> str:
        """The file's text, with the bugs that are planted in it."""
        planted = planted or {}
        kinds = {planted[function.name][0] for function in self.functions if function.name in planted}
        imports = sorted({line for function in self.functions for line in function.imports})
        buggy = [line for function in self.functions if function.name in planted for line in function.imports]
        if "missing-import" in kinds:
            imports.remove(buggy[0])
        elif "wrong-import" in kinds:
            imports[imports.index(buggy[0])] = misspelt_import(buggy[0])
        imports += [self.unused] if self.unused else []
        blocks = [
            "\n".join(planted[one.name][1] if one.name in planted else one.lines) for one in self.functions
        ]
        head = "\n\n".join(
            part
            for part in (
                f'"""{self.opening}"""' if self.opening else "",
                "\n".join(imports),
                self.guard.line if self.guard else "",
            )
            if part
        )
        return "\n\n\n".join([head, *blocks] if head else blocks) + "\n"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a case has to give."""

    case: Case
    expected: Outcome


def misspelt_import(line: str) -> str:
    """The import with two letters of the module's name exchanged."""
    word, name, *rest = line.split(" ")
    return " ".join([word, name[0] + name[2] + name[1] + name[3:], *rest])


def modules_for(
    functions: Sequence[Function], draw: Draw, names: Sequence[str], *, is_one: bool, is_guarded: bool
) -> list[Module]:
    """One or two modules that hold the functions."""
    groups = [tuple(functions)]
    if len(functions) > 1 and not is_one and draw.chance(_TWO_MODULES):
        groups = [tuple(functions[:1]), tuple(functions[1:])]
    guard = None
    if is_guarded:
        name, reason = draw.choice(_GUARDS)
        value = draw.integer(10, 90)
        guard = Guard(name, value, value + draw.choice((5, 10, -5)), reason)
    return [
        Module(
            name,
            group,
            draw.choice(_OPENINGS).format(name=name) if draw.chance(0.25) else "",
            draw.choice(_UNUSED) if draw.chance(0.06) else "",
            guard,
        )
        for name, group in zip(names, groups, strict=False)
    ]


_GUARDS = (
    ("LIMIT", "fixed by contract: must stay"),
    ("MAX_USERS", "what we paid for: do not change"),
    ("PORT", "others rely on it: must stay"),
    ("YEARS", "the law says so: do not change"),
    ("VERSION", "set by the release: do not change"),
)


def test_file(
    name: str,
    modules: Sequence[Module],
    requirements: Mapping[str, Sequence[Requirement]],
    draw: Draw,
    guard: Guard | None = None,
) -> str:
    """A file of unit tests, one method for each function."""
    lines = ["import unittest"]
    tests: list[str] = []
    for module in modules:
        used = sorted(function.name for function in module.functions if function.name in requirements)
        used += [guard.name] if guard is not None else []
        if used:
            lines.append(f"from {module.name} import {', '.join(used)}")
        for function in module.functions:
            if function.name in requirements:
                tests += ["", f"    def test_{function.name.lower()}(self):"]
                tests += [line for one in requirements[function.name] for line in _assertion(one)]
    if guard is not None:
        tests += ["", f"    def test_{guard.name.lower()}_stays(self):"]
        tests += [f"        self.assertEqual({guard.name}, {guard.value})"]
    title = "".join(part.title() for part in name.split("_"))
    lines += ["", "", f"class {draw.choice(('Test', 'Check'))}{title}(unittest.TestCase):", *tests[1:]]
    return "\n".join(lines) + "\n"


def _assertion(requirement: Requirement) -> list[str]:
    expression, value = requirement.case.expression, requirement.expected.value
    before = [f"        {statement}" for statement in requirement.case.before]
    if requirement.expected.error:
        return [
            *before,
            f"        with self.assertRaises({requirement.expected.error}):",
            f"            {expression}",
        ]
    if value is None:
        line = f"self.assertIsNone({expression})"
    elif isinstance(value, bool):
        line = f"self.assert{value}({expression})"
    elif isinstance(value, float) and not value.is_integer():
        line = f"self.assertAlmostEqual({expression}, {value!r})"
    else:
        line = f"self.assertEqual({expression}, {value!r})"
    return [*before, f"        {line}"]
