"""Running the code of a practice repository on test cases, in this process and always to an end."""

import ast
import builtins
import types
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_STEPS = 400
"""Turns of loops and calls of functions in one case. Right code takes under 100."""


class Endless(Exception):
    """The code took too many steps."""


class Dubious(Exception):
    """Python warns of the code, so that what a test run prints would depend on what is cached."""


@dataclass(frozen=True, slots=True)
class Case:
    """`expression`, evaluated after `before`."""

    before: tuple[str, ...]
    expression: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case: a value, or the name of an exception. `loaded`: the code could be imported."""

    value: Any = None
    error: str = ""
    loaded: bool = True

    def agrees(self, other: "Outcome") -> bool:
        """Whether a test that expects this would pass with the other."""
        if self.error or other.error or not other.loaded:
            return self.error == other.error and other.loaded
        if isinstance(self.value, float) and isinstance(other.value, float | int):
            return bool(round(abs(self.value - other.value), 7) == 0)
        if isinstance(self.value, bool) or self.value is None:
            # assertTrue and assertFalse go by truth, assertIsNone by identity.
            return other.value is None if self.value is None else bool(other.value) == self.value
        return bool(self.value == other.value)


class _Counting(ast.NodeTransformer):
    """Has every loop and function begin with a call that counts."""

    def _counted(self, node: Any) -> Any:
        self.generic_visit(node)
        step = ast.Expr(ast.Call(ast.Name("__step__", ast.Load()), [], []))
        node.body = [ast.fix_missing_locations(ast.copy_location(step, node.body[0])), *node.body]
        return node

    visit_For = visit_While = visit_FunctionDef = _counted  # noqa: N815 - the names that ast calls


def outcomes(modules: Mapping[str, str], cases: Sequence[Case]) -> list[Outcome]:
    """What each of `cases` gives with everything that `modules` (text by name) define.

    Raises Endless where the code does not end soon, and Dubious where Python warns of it.
    """
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        if steps > _MOST_STEPS:
            raise Endless

    loaded: dict[str, types.ModuleType] = {}

    def load(name: str, *rest: Any) -> Any:
        if name in modules and name not in loaded:
            module = types.ModuleType(name)
            vars(module).update(__builtins__={**vars(builtins), "__import__": load}, __step__=step)
            with warnings.catch_warnings(record=True) as warned:
                # The compiler's alone: an object of somebody else's may be freed meanwhile, and warn of that.
                warnings.simplefilter("ignore")
                for kind in (SyntaxWarning, DeprecationWarning):
                    warnings.simplefilter("always", kind)
                code = compile(_Counting().visit(ast.parse(modules[name])), name, "exec")
            if warned:
                raise Dubious(str(warned[0].message))
            exec(code, vars(module))
            loaded[name] = module
        return loaded[name] if name in loaded else __import__(name, *rest)

    try:
        for name in modules:
            load(name)
    except (Endless, Dubious):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a planted bug does
        return [Outcome(error=type(error).__name__, loaded=False) for _ in cases]
    names = {name: value for module in loaded.values() for name, value in vars(module).items()}
    found = []
    for case in cases:
        steps = 0
        scope = dict(names)
        try:
            for statement in case.before:
                exec(statement, scope)
            found.append(Outcome(eval(case.expression, scope)))
        except Endless:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a planted bug does
            found.append(Outcome(error=type(error).__name__))
    return found
