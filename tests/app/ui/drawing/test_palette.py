"""Added, removed, found and selected text differ on every terminal, in every theme."""

from itertools import combinations

import pytest
from rich.color import Color, ColorSystem
from rich.style import Style
from textual.app import App
from textual.theme import BUILTIN_THEMES, Theme

from app.settings.settings import DiffTints
from app.ui.drawing.palette import Depth, Palette
from app.ui.drawing.themes import CONTRAST, DARK, LIGHT

SYSTEMS = {"256": ColorSystem.EIGHT_BIT, "16": ColorSystem.STANDARD}
_SOME = (BUILTIN_THEMES["nord"], BUILTIN_THEMES["gruvbox"])
THEMES = {theme.name: theme for theme in (DARK, LIGHT, CONTRAST, *_SOME)}


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


@pytest.mark.parametrize("tints", ["red-green", "blue-orange"])
@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none"])
@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_what_means_something_else_looks_different(theme: Theme, depth: Depth, tints: DiffTints) -> None:
    variables = App().get_css_variables() | theme.to_color_system().generate()
    palette = Palette.from_variables(variables, depth, tints)
    assert palette.syntax.keys() == Palette.from_variables(variables).syntax.keys()
    names = ["added", "removed", "added_word", "removed_word", "match", "match_current", "text"]
    if depth == "none":  # added and removed lines are told by their signs, and so are their words
        names = ["added_word", "match_current", "text"]
    looks = {name: seen(getattr(palette, name), depth) for name in names}
    for one, other in combinations(names, 2):
        assert looks[one] != looks[other], (one, other)


def contrast(style: Style, depth: Depth) -> float:
    """The ratio of luminances (WCAG 2) of text and ground, as a terminal of so many colours shows them."""

    def luminance(colour: Color | None) -> float:
        assert colour is not None
        shown = colour.downgrade(SYSTEMS[depth]) if depth in SYSTEMS else colour
        parts = [value / 255 for value in shown.get_truecolor()]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lesser, greater = sorted((luminance(style.color), luminance(style.bgcolor)))
    return (greater + 0.05) / (lesser + 0.05)


@pytest.mark.parametrize("depth", ["truecolor", "256", "16", "none"])
@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_lines_their_numbers_and_the_selection_can_be_read(theme: Theme, depth: Depth) -> None:
    variables = App().get_css_variables() | theme.to_color_system().generate()
    palette = Palette.from_variables(variables, depth)
    for ground in ("text", "added", "removed", "selection", "added_word", "removed_word", "match"):
        line = palette.text + getattr(palette, ground)
        assert contrast(line, depth) > 2.5, ground
        if ground in ("text", "added", "removed"):
            assert contrast(line + palette.faint, depth) > 1.8, f"numbers on {ground}"
        if ground in ("text", "selection"):
            assert contrast(line + palette.strong, depth) > 2.5, f"the cursor's number on {ground}"
