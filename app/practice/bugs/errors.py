"""Bugs that make Python complain: the traceback names the line."""

import ast
import re
from collections.abc import Iterator

from app.practice.bugs.sites import Change, Site, is_builtin

OTHER_EXCEPTIONS = ("KeyError", "TypeError", "IndexError", "RuntimeError")


def misspelt_name(site: Site) -> Iterator[Change]:
    """A variable or a function of Python's own, where it is used."""
    bound = site.bound()
    for node in site.nodes():
        if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
            continue
        wrong = site.misspelt(node.id)
        if wrong not in bound and not is_builtin(wrong) and (node.id in bound or is_builtin(node.id)):
            yield site.instead(node, wrong)


def misspelt_attribute(site: Site) -> Iterator[Change]:
    """A method or attribute, where it is used."""
    for node in site.nodes():
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and len(node.attr) > 2:
            assert node.end_col_offset is not None
            end = node.end_col_offset
            yield site.at(node.lineno - 1, end - len(node.attr), end, site.misspelt(node.attr))


def misspelt_key(site: Site) -> Iterator[Change]:
    """A key that is written out."""
    for node in site.nodes():
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            key = node.slice.value
            if isinstance(key, str):
                yield site.instead(node.slice, f'"{site.misspelt(key)}"')


def missing_colon(site: Site) -> Iterator[Change]:
    """At the end of a line."""
    for index, line in site.body_lines():
        if line.endswith(":"):
            yield Change(index, index + 1, (line[:-1],))


def missing_bracket(site: Site) -> Iterator[Change]:
    """The last of a line that ends with one, or with one and a colon."""
    for index, line in site.body_lines():
        found = re.match(r"(.*)[)\]](:?)$", line)
        if found:
            yield Change(index, index + 1, (found[1] + found[2],))


def missing_quote(site: Site) -> Iterator[Change]:
    """The closing or opening one of a text."""
    for index, line in site.body_lines():
        places = [place for place, letter in enumerate(line) if letter == '"']
        if len(places) >= 2 and "'" not in line:
            yield site.at(index, places[-1], places[-1] + 1, "")
            yield site.at(index, places[0], places[0] + 1, "")


def single_equals(site: Site) -> Iterator[Change]:
    """In a condition."""
    for index, line in site.body_lines():
        if line.lstrip().startswith(("if ", "while ")) and line.count(" == ") == 1 and '"' not in line:
            yield Change(index, index + 1, (line.replace(" == ", " = "),))


def wrong_indentation(site: Site) -> Iterator[Change]:
    """The first line of a block too far out, or another line too far in."""
    before = ""
    for index, line in site.body_lines():
        if before.endswith(":") and line.startswith("    "):
            yield Change(index, index + 1, (line[4:],))
        elif before and not line.startswith(("def", "class", "    def")):
            yield Change(index, index + 1, ("    " + line,))
        before = line


def missing_conversion(site: Site) -> Iterator[Change]:
    """str() or int() around something."""
    for node in site.nodes():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
            inner = node.args[0]
            if node.func.id in ("str", "int") and isinstance(inner, ast.Name | ast.Subscript | ast.Attribute):
                yield site.instead(node, site.text(inner))


def missing_argument(site: Site) -> Iterator[Change]:
    """One of two or more, or the only one of a method."""
    for node in site.nodes():
        if not isinstance(node, ast.Call) or node.keywords or node.lineno != node.end_lineno:
            continue
        texts = [site.text(argument) for argument in node.args]
        written = site.text(node)
        if len(texts) > 1:
            yield site.instead(node, f"{site.text(node.func)}({', '.join(texts[:-1])})")
        elif texts and isinstance(node.func, ast.Attribute) and written.endswith(")"):
            yield site.instead(node, f"{site.text(node.func)}()")


def missing_self(site: Site) -> Iterator[Change]:
    """In front of an attribute, or in a method's parameters."""
    for node in site.nodes():
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and site.text(node.value) == "self"
        ):
            yield site.instead(node, node.attr)
    for index, line in site.body_lines():
        if re.match(r"    def \w+\(self\b", line):
            yield Change(index, index + 1, (re.sub(r"\(self(, )?", "(", line),))


def missing_assignment(site: Site) -> Iterator[Change]:
    """The first value of a variable that a loop goes on with."""
    for index, line in site.body_lines():
        found = re.match(r"    (\w+) = (0|1|\[\]|\{\}|\"\"|None|values\[0\])$", line)
        if found and any(re.search(rf"\b{found[1]}\b", later) for later in site.function.lines[index + 1 :]):
            yield Change(index, index + 1, ())


def wrong_exception(site: Site) -> Iterator[Change]:
    """Another than ValueError."""
    for index, line in site.body_lines():
        if "raise ValueError(" in line:
            for other in OTHER_EXCEPTIONS:
                yield Change(index, index + 1, (line.replace("ValueError", other),))


def missing_return(site: Site) -> Iterator[Change]:
    """The word, or the whole line at the end of a function."""
    last = len(site.function.lines) - 1
    for index, line in site.body_lines():
        found = re.match(r"(\s+)return (.+)$", line)
        if not found or found[2] in ("None", "True", "False"):
            continue
        if "(" in found[2] or re.fullmatch(r"\w+", found[2]) is None:
            yield Change(index, index + 1, (found[1] + found[2],))
        if index == last and index > site.function.body:
            yield Change(index, index + 1, ())
