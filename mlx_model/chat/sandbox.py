"""A Jinja environment for chat templates from untrusted checkpoints.

Jinja's immutable sandbox keeps a template from attributes that lead out of it and from changing its inputs. It
bounds neither time nor memory. This environment adds a deadline, looked at in every loop step and call, and a
limit on the size of whatever a template can grow from something small: sums and products, `~`, list and dict
literals, what calls return, what is written out, and the filters and string methods that take a width or a
count. The size of the whole prompt is bounded by template.py.

Filters and globals are those of Hugging Face's `apply_chat_template`.
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

_STEPS, _JOINED, _BOUNDED = "_steps", "_joined", "_bounded"
"""Filters that the compiled template gets around loops, concatenations and literals."""

_GROWING_FILTERS = (
    "batch",
    "center",
    "format",
    "indent",
    "join",
    "replace",
    "slice",
    "sum",
    "tojson",
    "wordwrap",
)
"""Jinja's filters whose result can be much larger than what is filtered: by a width, a count or a factor."""

_HIGHEST_POWER = 64
"""Exponent that a template may raise to, so that no number of megabytes is made."""


class TemplateStopped(Exception):
    """A template ran for too long or made too much."""


class Limits:
    """The limits of one rendering, from now on: seconds, and characters (or items) of any one value."""

    def __init__(self, seconds: float, characters: float) -> None:
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._characters = characters

    def check_time(self) -> None:
        """Raises TemplateStopped after the deadline."""
        if time.monotonic() > self._deadline:
            raise TemplateStopped(f"it ran for more than {self._seconds:g} seconds")

    def check_size(self, size: float) -> None:
        """Raises TemplateStopped for a size beyond the limit."""
        if size > self._characters:
            raise TemplateStopped(f"it made more than {self._characters:,} characters")


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; a prompt has just its content."""

    tags = {"generation"}  # noqa: RUF012 (the base class declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Limited(NodeTransformer):
    """Puts our filters around everything that grows without a call or an operator."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        node = super().generic_visit(node, *args, **kwargs)
        match node:
            case nodes.For():
                node.iter = _filtered(node.iter, _STEPS)
            case nodes.Concat():
                return _filtered(nodes.List(node.nodes, lineno=node.lineno), _JOINED)
            case nodes.List() | nodes.Dict() | nodes.Tuple(ctx="load"):
                return _filtered(node, _BOUNDED)
        return node


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(cast(nodes.Expr, node), name, [], [], None, None, lineno=node.lineno)


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """One environment serves one rendering at a time, within `limits`."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", _Generation],
            finalize=self._bounded,
        )
        self.limits = Limits(float("inf"), float("inf"))
        self.filters["tojson"] = _to_json
        self.filters |= {name: self._limited(self.filters[name]) for name in _GROWING_FILTERS}
        self.filters |= {_STEPS: self._steps, _JOINED: self._joined, _BOUNDED: self._bounded}
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree: nodes.Template = _Limited().visit(super()._parse(source, name, filename))
        return tree

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        self._check_arguments(args, kwargs)
        return self._bounded(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            self.limits.check_size(len(left) + len(right))
        elif operator == "*":
            self.limits.check_size(_factor(left) * _factor(right))
        elif operator == "**" and abs(right) > _HIGHEST_POWER:
            raise TemplateStopped("it raised a number to a very high power")
        elif operator == "%" and isinstance(left, (str, bytes)):
            # A width in the format makes any length from a short text.
            raise TemplateStopped("it formats text with the % operator, which chat templates have no need of")
        return super().call_binop(context, operator, left, right)

    def _limited(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A filter that refuses widths and counts beyond the limit."""
        # Some filters are given their environment first. The filtered value may be any number: it is no width.
        own = 2 if hasattr(function, "jinja_pass_arg") else 1

        @functools.wraps(function)
        def limited(*args: Any, **kwargs: Any) -> Any:
            self._check_arguments(args[own:], kwargs)
            return self._bounded(function(*args, **kwargs))

        return limited

    def _check_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.limits.check_time()
        for value in (*args, *kwargs.values()):
            if isinstance(value, int):
                self.limits.check_size(value)

    def _steps(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.limits.check_time()
            yield item

    def _joined(self, values: Iterable[Any]) -> str:
        """What `~` makes of its operands."""
        texts = list(map(str, values))
        self.limits.check_size(sum(map(len, texts)))
        return "".join(texts)

    def _bounded(self, value: Any) -> Any:
        """`value`, if its size is within the limit. What a container holds twice counts twice, for so it is
        written out."""
        if isinstance(value, str):
            self.limits.check_size(len(value))
        elif isinstance(value, (list, tuple, dict)):
            self.limits.check_size(self._size(value))
        return value

    def _size(self, container: list[Any] | tuple[Any, ...] | dict[Any, Any]) -> int:
        self.limits.check_time()
        size = len(container)
        for item in container.values() if isinstance(container, dict) else container:
            if isinstance(item, str):
                size += len(item)
            elif isinstance(item, (list, tuple, dict)):
                size += self._size(item)
        return size


def _factor(value: Any) -> float:
    """What multiplying by `value` multiplies a size by: a number's magnitude (infinite from 64 bits on), a
    sequence's length."""
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
    """Plain JSON: Jinja's own filter escapes it for HTML."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> None:
    raise jinja2.TemplateError(message)
