"""Bugs that make a wrong value: only the code and what is expected of it tell where."""

import ast
import re
from collections.abc import Iterator

from app.practice.bugs.sites import Change, Site, is_builtin

_COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Gt: (">", ("<", ">=")),
    ast.Lt: ("<", (">", "<=")),
    ast.GtE: (">=", (">", "<=")),
    ast.LtE: ("<=", ("<", ">=")),
    ast.Eq: ("==", ("!=", ">=")),
    ast.NotEq: ("!=", ("==",)),
}
_OPERATORS: dict[type[ast.operator], tuple[str, tuple[str, ...]]] = {
    ast.Add: ("+", ("-", "*")),
    ast.Sub: ("-", ("+",)),
    ast.Mult: ("*", ("+", "/")),
    ast.Div: ("/", ("*", "//")),
    ast.FloorDiv: ("//", ("/", "%")),
    ast.Mod: ("%", ("//",)),
    ast.Pow: ("**", ("*",)),
}
_CALLS = {
    "max": ("min",),
    "min": ("max",),
    "sum": ("len", "max"),
    "len": ("sum",),
    "upper": ("lower", "title"),
    "lower": ("upper",),
    "title": ("upper",),
    "capitalize": ("upper",),
    "items": ("keys",),
    "values": ("keys",),
    "keys": ("values",),
    "append": ("extend",),
    "ceil": ("floor",),
    "startswith": ("endswith",),
    "endswith": ("startswith",),
    "sorted": ("list",),
    "isdigit": ("isalpha",),
    "strip": ("lstrip", "rstrip"),
    "split": ("strip",),
    "abs": ("int",),
    "chr": ("str",),
}


def early_return(site: Site) -> Iterator[Change]:
    """The last line, moved into the block before it."""
    lines = site.function.lines
    last = len(lines) - 1
    if not lines[last].lstrip().startswith("return ") or last <= site.function.body:
        return
    own, before = (len(line) - len(line.lstrip()) for line in (lines[last], lines[last - 1]))
    if before > own:
        yield Change(last, last + 1, ("    " + lines[last],))


def wrong_operator(site: Site) -> Iterator[Change]:
    """An operator between two values, or one that changes a variable."""
    for node in site.nodes():
        if isinstance(node, ast.BinOp):
            sign, others = _OPERATORS.get(type(node.op), ("", ()))
            for other in others:
                change = site.between(node.left, node.right, sign, other)
                if change is not None:
                    yield change
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name | ast.Attribute):
            sign, others = _OPERATORS[type(node.op)]
            for other in (*others[:1], ""):
                change = site.between(node.target, node.value, f"{sign}=", f"{other}=")
                if change is not None:
                    yield change


def wrong_comparison(site: Site) -> Iterator[Change]:
    """One comparison for another."""
    for node in site.nodes():
        if not isinstance(node, ast.Compare):
            continue
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            sign, others = _COMPARISONS.get(type(operator), ("", ()))
            for other in others:
                change = site.between(left, right, sign, other)
                if change is not None:
                    yield change
            left = right


def wrong_constant(site: Site) -> Iterator[Change]:
    """A number a little off."""
    for node in site.nodes():
        if isinstance(node, ast.Constant) and type(node.value) is int:
            steps = (1, -1, 2) if node.value < 10 else (1, -1, 10, -10)
            for step in steps:
                if node.value + step >= 0:
                    yield site.instead(node, str(node.value + step))


def wrong_text(site: Site) -> Iterator[Change]:
    """A text with a letter wrong, or one of the function's other texts."""
    keys = {id(node.slice) for node in site.nodes() if isinstance(node, ast.Subscript)}
    texts = [
        node
        for node in site.nodes()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys
    ]
    texts = [node for node in texts if '"""' not in site.function.lines[node.lineno - 1]]
    for node in texts:
        for other in texts:
            if other.value != node.value and other.value:
                yield site.instead(node, site.text(other))
        if len(str(node.value)) > 2 and str(node.value).isalpha():
            yield site.instead(node, f'"{site.misspelt(str(node.value))}"')
        elif str(node.value) in (",", "-", " ", "/", ", ", ": "):
            yield site.instead(node, '"' + site.draw.choice((",", "-", " ", "/", ".")) + '"')


def wrong_variable(site: Site) -> Iterator[Change]:
    """One of the function's variables for another."""
    bound = site.bound()
    augmented = {
        id(child): node.target.id
        for node in site.nodes()
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
        for child in ast.walk(node.value)
    }
    for node in site.nodes():
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in bound:
            for other in bound:
                # x += x doubles: in a loop that does not end, without bound.
                if other not in (node.id, augmented.get(id(node))):
                    yield site.instead(node, other)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found = re.findall(r"self\.(\w+) =", "\n".join(site.function.lines))
            if isinstance(node.value, ast.Name) and node.value.id == "self" and node.attr in found:
                for other in dict.fromkeys(found):
                    yield site.instead(node, f"self.{other}")


def wrong_call(site: Site) -> Iterator[Change]:
    """A function or method that does something near."""
    for node in site.nodes():
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and is_builtin(node.func.id):
            for other in _CALLS.get(node.func.id, ()):
                yield site.instead(node.func, other)
        elif isinstance(node.func, ast.Attribute):
            for other in _CALLS.get(node.func.attr, ()):
                yield site.instead(node.func, f"{site.text(node.func.value)}.{other}")


def wrong_key(site: Site) -> Iterator[Change]:
    """Another key that the function knows."""
    keys = [
        node.slice
        for node in site.nodes()
        if isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ]
    for node in keys:
        for other in dict.fromkeys(site.text(key) for key in keys):
            yield site.instead(node, other)
        if len(keys) == 1 or len({site.text(key) for key in keys}) == 1:
            for other in ("name", "count", "price"):
                yield site.instead(node, f'"{other}"')


def wrong_flag(site: Site) -> Iterator[Change]:
    """True or False."""
    for node in site.nodes():
        if isinstance(node, ast.Constant) and type(node.value) is bool:
            yield site.instead(node, str(not node.value))


def off_by_one(site: Site) -> Iterator[Change]:
    """A 1 that is added or taken away, forgotten; a range or part that begins one off."""
    for node in site.nodes():
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            if isinstance(node.right, ast.Constant) and node.right.value == 1:
                yield site.instead(node, site.text(node.left))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
            end = node.args[-1] if len(node.args) < 3 else node.args[1]
            if not isinstance(end, ast.BinOp):
                yield site.instead(end, f"{site.text(end)} - 1")
                yield site.instead(end, f"{site.text(end)} + 1")
            if len(node.args) > 1 and isinstance(node.args[0], ast.Constant):
                yield site.instead(node.args[0], str(int(str(node.args[0].value)) + 1))
        elif isinstance(node, ast.Slice):
            for end_of in (node.lower, node.upper):
                if isinstance(end_of, ast.Name):
                    yield site.instead(end_of, f"{end_of.id} + 1")
                    yield site.instead(end_of, f"{end_of.id} - 1")


def wrong_index(site: Site) -> Iterator[Change]:
    """Another place of a list, or another part."""
    for node in site.nodes():
        if not isinstance(node, ast.Subscript):
            continue
        index = site.text(node.slice)
        for other in {"0": ("1", "-1"), "1": ("0",), "-1": ("0",), "-2": ("-1", "2"), "1:": (":1",)}.get(
            index, ()
        ):
            yield site.instead(node.slice, other)
        if isinstance(node.slice, ast.Slice) and re.fullmatch(r":-?\w+", index):
            yield site.instead(node.slice, f"{index[1:]}:")
        elif isinstance(node.slice, ast.Slice) and re.fullmatch(r"-?\w+:", index):
            yield site.instead(node.slice, f":{index[:-1]}")


def swapped(site: Site) -> Iterator[Change]:
    """Two arguments, or the two sides of a difference or quotient."""
    for node in site.nodes():
        if isinstance(node, ast.Call) and len(node.args) == 2:
            first, second = (site.text(argument) for argument in node.args)
            start, end = node.args[0].col_offset, node.args[1].end_col_offset
            assert end is not None
            yield site.at(node.lineno - 1, start, end, f"{second}, {first}")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.Mod):
            sides = (node.left, node.right)
            if all(isinstance(side, ast.Name | ast.Attribute | ast.Subscript) for side in sides):
                sign = _OPERATORS[type(node.op)][0]
                yield site.instead(node, f"{site.text(node.right)} {sign} {site.text(node.left)}")


def inverted(site: Site) -> Iterator[Change]:
    """With or without a not."""
    for node in site.nodes():
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield site.instead(node, site.text(node.operand))
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = node.left, node.comparators[0]
            for kind, sign, other in (
                (ast.In, " in ", " not in "),
                (ast.NotIn, " not in ", " in "),
                (ast.Is, " is ", " is not "),
                (ast.Eq, " == ", " != "),
                (ast.NotEq, " != ", " == "),
            ):
                if isinstance(node.ops[0], kind):
                    change = site.between(left, right, sign, other)
                    if change is not None:
                        yield change
        elif isinstance(node, ast.If) and isinstance(
            node.test, ast.Name | ast.Subscript | ast.Call | ast.Attribute
        ):
            yield site.instead(node.test, f"not {site.text(node.test)}")


def wrong_connective(site: Site) -> Iterator[Change]:
    """And for or, and the other way round."""
    for node in site.nodes():
        if isinstance(node, ast.BoolOp):
            sign, other = (" and ", " or ") if isinstance(node.op, ast.And) else (" or ", " and ")
            change = site.between(node.values[0], node.values[1], sign, other)
            if change is not None:
                yield change


def mutable_default(site: Site) -> Iterator[Change]:
    """A list or dictionary in the head, where it was None."""
    head = site.function.lines[0]
    for made in ("[]", "{}"):
        if "=None)" in head and any(line.endswith(f"= {made}") for line in site.function.lines):
            yield Change(0, 1, (head.replace("=None)", f"={made})"),))
