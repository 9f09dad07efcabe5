"""Practice code that is run in this process: what Python warns of it, and of nothing else."""

import ast
import warnings

import pytest

from app.practice import execution
from app.practice.execution import Case, Dubious, Outcome, outcomes


def test_code_that_python_warns_of_is_refused() -> None:
    with pytest.raises(Dubious, match="is"):
        outcomes({"work": "def same():\n    return 1 is 1\n"}, [])


def test_what_is_freed_meanwhile_says_nothing_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(text: str) -> ast.Module:
        warnings.warn("unclosed transport", ResourceWarning, stacklevel=1)
        return ast.parse(text)

    monkeypatch.setattr(execution, "ast", type("Reader", (), {**vars(ast), "parse": staticmethod(parse)}))
    assert outcomes({"work": "def two():\n    return 2\n"}, [Case((), "two()")]) == [Outcome(2)]
