"""Added, removed, found and selected text differ on every terminal, in every theme."""

from itertools import combinations

import pytest
from rich.color import ColorSystem
from rich.style import Style
from textual.app import App
from textual.theme import BUILTIN_THEMES, Theme

from app.ui.drawing.palette import Depth, Palette
from app.ui.drawing.themes import DARK, LIGHT

SYSTEMS = {"256": ColorSystem.EIGHT_BIT, "16": ColorSystem.STANDARD}
THEMES = {theme.name: theme for theme in (DARK, LIGHT, *(BUILTIN_THEMES[name] for name in ("nord", "gruvbox")))}


def seen(style: Style, depth: Depth) -> tuple[object, ...]:
    """What of a style a terminal of so many colours shows."""
    system = SYSTEMS.get(depth)
    colours = [
        None if colour is None or depth == "none" else colour.downgrade(system) if system else colour
        for colour in (style.color, style.bgcolor)
    ]
    return (
        *((colour.triplet or colour.number) if colour else None for colour in colours),
        style.underline,
        style.reverse,
    )


@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none"])
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_what_means_something_else_looks_different(theme: Theme, depth: Depth) -> None:
    variables = App().get_css_variables() | theme.to_color_system().generate()
    palette = Palette.from_variables(variables, depth)
    assert palette.syntax.keys() == Palette.from_variables(variables).syntax.keys()
    names = ["added", "removed", "added_word", "removed_word", "match", "match_current", "text"]
    if depth == "none":  # added and removed lines are told by their signs, and so are their words
        names = ["added_word", "match_current", "text"]
    looks = {name: seen(getattr(palette, name), depth) for name in names}
    for one, other in combinations(names, 2):
        assert looks[one] != looks[other], (one, other)
