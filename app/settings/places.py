"""Where in a TOML file something is set, for the one who is to mend it."""

import re
from pathlib import Path


def place(file: Path, text: str, name: str, number: int = 1) -> str:
    """`file` and the line in which `name` is set at the top level or begins its table, the `number`th array of
    tables of that name; without a line where neither is found."""
    bare = rf"""(?:{re.escape(name)}|"{re.escape(name)}"|'{re.escape(name)}')"""
    key, table = re.compile(rf"\s*{bare}\s*[=.]"), re.compile(rf"\s*\[\[?\s*{bare}\s*[\].]")
    is_top, seen = True, 0
    for line_number, line in enumerate(text.split("\n"), 1):
        if is_top and key.match(line):
            return f"{file}, line {line_number}"
        if line.lstrip().startswith("["):
            is_top = False
            seen += table.match(line) is not None
            if seen == number:
                return f"{file}, line {line_number}"
    return str(file)
