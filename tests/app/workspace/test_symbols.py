"""Symbols of languages whose grammars have no whole query for them."""

import pytest

from app.workspace.search.symbols import symbols_of

TYPESCRIPT = b"""interface Shape { area(): number }
type Id = string
enum Colour { Red }
export class Circle<T> { area() { return 1 } }
const made = (radius: number) => radius
function drawn(name: string): void {}
"""


@pytest.mark.parametrize("path", ["a.ts", "a.tsx", "a.mts"])
def test_typescript_has_types_beside_what_javascript_has(path: str) -> None:
    names = [(symbol.name, symbol.kind, symbol.line) for symbol in symbols_of(path, TYPESCRIPT)]
    assert names == [
        ("Shape", "interface", 1),
        ("area", "method", 1),
        ("Id", "type", 2),
        ("Colour", "enum", 3),
        ("Circle", "class", 4),
        ("area", "method", 4),
        ("made", "function", 5),
        ("drawn", "function", 6),
    ]
