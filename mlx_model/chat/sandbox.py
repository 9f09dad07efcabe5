"""A Jinja environment for templates that strangers wrote.

Jinja's immutable sandbox keeps a template from attributes and from changing what it is given. What it does not
bound is how long a template runs and how much it makes; that is added here. Every loop step, call and filter
looks at the clock, and everything that can make a long string or list from a short one looks at its size. The
filters and globals are those that chat templates are written for (Hugging Face's `apply_chat_template`).
"""

import functools
import json
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any, cast

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

_LOOP_FILTER = "_watched_loop"
_TEXT_FILTER = "_watched_text"


class TemplateStopped(Exception):
    """A template ran for too long or made too much."""


class Watch:
    """The budget of one rendering: seconds and characters."""

    def __init__(self, seconds: float, characters: int) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self.characters = characters

    def step(self) -> None:
        """Raises TemplateStopped once the time is up."""
        if time.monotonic() > self._deadline:
            raise TemplateStopped(f"it ran for more than {self._seconds:g} seconds")

    def size(self, size: float) -> None:
        """Raises TemplateStopped when something of this size is too long to be part of a prompt."""
        if size > self.characters:
            raise TemplateStopped(f"it made more than {self.characters:,} characters")


class _Generation(Extension):
    """`{% generation %}` marks the assistant's part for training; in a prompt only its content counts."""

    tags = {"generation"}  # noqa: RUF012 (the base class declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Watched(NodeTransformer):
    """Puts a filter around every loop's iterable and every concatenation."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 (the visitor's naming)
        self.generic_visit(node)
        node.iter = _filtered(node.iter, _LOOP_FILTER)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.nodes = [_filtered(operand, _TEXT_FILTER) for operand in node.nodes]
        return _filtered(node, _TEXT_FILTER)


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, [], [], None, None, lineno=node.lineno)


class _WatchedLoop:
    """An iterable that looks at the clock at every step."""

    def __init__(self, iterable: Iterable[Any], watch: Watch) -> None:
        self._iterable = iterable
        self._watch = watch

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable:
            self._watch.step()
            yield item

    def __len__(self) -> int:
        return len(self._iterable)  # type: ignore[arg-type]  # a TypeError is what the loop expects then


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """One environment serves one rendering at a time: `watch` is its budget."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
            finalize=self._measured,
        )
        self.watch = Watch(0, 0)
        self.filters["tojson"] = _to_json
        for name, function in list(self.filters.items()):
            self.filters[name] = self._watched(function)
        self.filters[_LOOP_FILTER] = lambda iterable: _WatchedLoop(iterable, self.watch)
        self.filters[_TEXT_FILTER] = self._measured
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Watched().visit(super()._parse(source, name, filename))
        return tree

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        self.watch.step()
        self._check_arguments(args, kwargs)
        return self._measured(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        self.watch.step()
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            self.watch.size(len(left) + len(right))
        elif operator == "*":
            self.watch.size(_extent(left) * _extent(right))
        elif operator == "**" and abs(right) > 64:
            raise TemplateStopped("it raised a number to a very high power")
        elif operator == "%" and isinstance(left, (str, bytes)):
            # A width in the format makes any length from a short text.
            raise TemplateStopped("it formats text with the % operator, which chat templates have no need of")
        return super().call_binop(context, operator, left, right)

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # Some are given their surroundings first. What is filtered may be any number: it is no width or count.
        begins = 1 if hasattr(function, "jinja_pass_arg") else 0

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.watch.step()
            for value in args[: begins + 1]:
                self._measured(value)
            self._check_arguments(args[begins + 1 :], kwargs)
            return self._measured(function(*args, **kwargs))

        return watched

    def _check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A large number is a width or a count to be; anything else is measured."""
        for value in (*args, *kwargs.values()):
            if isinstance(value, int):
                self.watch.size(value)
            else:
                self._measured(value)

    def _measured(self, value: Any) -> Any:
        """`value`, if its size is bearable; what a list holds counts as often as the list holds it."""
        if isinstance(value, str):
            self.watch.size(len(value))
        elif isinstance(value, (list, tuple, dict)):
            self.watch.size(self._extent_within(value))
        return value

    def _extent_within(self, container: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> int:
        self.watch.step()
        size = len(container)
        for item in container.values() if isinstance(container, dict) else container:
            if isinstance(item, str):
                size += len(item)
            elif isinstance(item, (list, tuple, dict)):
                size += self._extent_within(item)
        return size


def _extent(value: Any) -> float:
    """How much a factor multiplies by: a number's magnitude (infinite past 64 bits), a sequence's length."""
    if isinstance(value, int):
        return abs(value) if value.bit_length() < 64 else float("inf")
    return len(value) if hasattr(value, "__len__") else 1


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON as it is: Jinja's own filter escapes for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)
