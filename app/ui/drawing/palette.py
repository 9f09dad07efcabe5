"""The theme's colours as the styles that line-drawn widgets paint with.

Everything is blended from the theme's base colours, so that any theme of Textual's works, not only ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rich.style import Style
from textual.app import App
from textual.color import Color

from app.settings.settings import DiffTints
from app.ui.drawing.themes import PLAIN

Depth = Literal["truecolor", "256", "16", "none"]
"""How many colours a terminal has."""
_DARK_256 = {
    "added": "#005f00",
    "removed": "#5f0000",
    "added_word": "#008700",
    "removed_word": "#870000",
    "cursor_line": "#303030",
    "selection": "#005f87",
    "match": "#5f5f00",
    "doubtful": "#5f005f",
    "match_current": "#af8700",
    "moved": "#3a3a3a",
    "filler": "#1c1c1c",
    "header": "#262626",
    "section": "#121212",
}
_LIGHT_256 = {
    "added": "#d7ffd7",
    "removed": "#ffd7d7",
    "added_word": "#87ff87",
    "removed_word": "#ffafaf",
    "cursor_line": "#d7d7ff",
    "selection": "#87d7ff",
    "match": "#ffffaf",
    "doubtful": "#ffd7ff",
    "match_current": "#ffd700",
    "moved": "#dadada",
    "filler": "#eeeeee",
    "header": "#d0d0d0",
    "section": "#eeeeee",
}
# Blue for what was added, orange for what was removed: the pair that red-green blindness leaves apart.
_BLUE_ORANGE = {True: ("#4aa3ff", "#ff9a3c"), False: ("#0a62c9", "#b35900")}
"""Added and removed, by whether the ground is dark."""
_BLUE_ORANGE_256 = {
    True: {"added": "#00005f", "removed": "#875f00", "added_word": "#0000af", "removed_word": "#af5f00"},
    False: {"added": "#d7d7ff", "removed": "#ffd7af", "added_word": "#afafff", "removed_word": "#ffaf5f"},
}
_BLUE_ORANGE_16 = {True: ("#5555ff", "#ffff55"), False: ("#000080", "#808000")}
_FAINT_256 = {True: "#8a8a8a", False: "#6c6c6c"}
"""Line numbers, by whether the ground is dark: to be read on the tints too."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Styles by what they mean. Foreground-only ones can be laid over any of the backgrounds."""

    text: Style
    muted: Style
    faint: Style
    primary: Style
    accent: Style
    success: Style
    warning: Style
    error: Style
    strong: Style
    header: Style
    section: Style
    user: Style
    code: Style
    cursor_line: Style
    selection: Style
    match: Style
    match_current: Style
    added: Style
    removed: Style
    added_word: Style
    removed_word: Style
    moved: Style
    doubtful: Style
    filler: Style
    syntax: Mapping[str, Style]

    @classmethod
    def of(cls, app: App[object]) -> "Palette":
        """The palette of the theme that is set, on the terminal that is there."""
        depth: Depth = "truecolor"
        if app.no_color or app.console.color_system is None or app.theme == PLAIN.name:
            depth = "none"
        elif app.console.color_system == "256":
            depth = "256"
        elif app.console.color_system in ("standard", "windows"):
            depth = "16"
        settings = getattr(app, "settings", None)
        tints: DiffTints = settings.diff_tints if settings is not None else "red-green"
        return cls.from_variables(app.theme_variables, depth, tints)

    @classmethod
    def from_variables(
        cls, variables: Mapping[str, str], depth: Depth = "truecolor", tints: DiffTints = "red-green"
    ) -> "Palette":
        """The palette of the theme whose CSS variables these are, on a terminal with so many colours."""

        def named(name: str) -> Color:
            return Color.parse(variables[name])

        background, foreground = named("background"), named("foreground")
        primary, secondary, accent = named("primary"), named("secondary"), named("accent")
        success, warning, error = named("success"), named("warning"), named("error")
        panel, surface = named("panel"), named("surface")
        dark = background.brightness < 0.5

        added, removed = success, error
        if tints == "blue-orange":
            added, removed = map(Color.parse, _BLUE_ORANGE[dark])

        def over(color: Color, amount: float) -> Color:
            return background.blend(color, amount)

        def fore(color: Color, *, bold: bool = False, italic: bool = False) -> Style:
            return Style(color=color.rich_color, bold=bold or None, italic=italic or None)

        def back(color: Color, front: Color | None = None) -> Style:
            return Style(bgcolor=color.rich_color, color=front.rich_color if front else None)

        muted = over(foreground, 0.70 if dark else 0.78)
        full = cls(
            text=Style(color=foreground.rich_color, bgcolor=background.rich_color),
            muted=fore(muted),
            faint=fore(over(foreground, 0.44 if dark else 0.48)),
            primary=fore(primary),
            accent=fore(accent),
            success=fore(success),
            warning=fore(warning),
            error=fore(error),
            strong=fore(foreground, bold=True),
            header=back(panel, foreground),
            section=back(surface, muted),
            user=back(surface.blend(primary, 0.10), foreground),
            code=back(surface),
            cursor_line=back(over(primary, 0.18 if dark else 0.14)),
            selection=back(over(primary, 0.38)),
            match=back(over(warning, 0.32)),
            match_current=back(warning, background),
            added=back(over(added, 0.13 if dark else 0.12)),
            removed=back(over(removed, 0.13 if dark else 0.10)),
            added_word=back(over(added, 0.32 if dark else 0.28)),
            removed_word=back(over(removed, 0.34 if dark else 0.24)),
            moved=back(over(foreground, 0.14 if dark else 0.12)),
            doubtful=back(over(warning, 0.20)),
            filler=back(surface),
            syntax={
                "comment": fore(over(foreground, 0.68 if dark else 0.78), italic=True),
                "keyword": fore(secondary.blend(error, 0.25)),
                "string": fore(success.blend(foreground, 0.15)),
                "number": fore(accent),
                "constant": fore(accent),
                "function": fore(primary),
                "class": fore(accent.blend(foreground, 0.25)),
                "type": fore(accent.blend(foreground, 0.25)),
                "decorator": fore(secondary),
                "builtin": fore(primary.blend(foreground, 0.25)),
                "tag": fore(primary),
                "attribute": fore(secondary),
                "heading": fore(primary, bold=True),
                "operator": fore(muted),
                "added": fore(added),
                "removed": fore(removed),
            },
        )
        return full if depth == "truecolor" else replace(full, **_few_colours(depth, dark, full, tints))


def _few_colours(depth: Depth, dark: bool, full: Palette, tints: DiffTints) -> dict[str, Any]:
    """The styles that a terminal of few colours would run together, chosen by hand: blended tints of added,
    removed and found text all come out as the same dark grey of 256 colours, and as none of 16."""
    if depth == "256":
        # Colours of the 6 x 6 x 6 cube and its greys, which such a terminal has exactly.
        names = _DARK_256 if dark else _LIGHT_256
        if tints == "blue-orange":
            names = names | _BLUE_ORANGE_256[dark]
        grounds = {name: Style(bgcolor=value) for name, value in names.items()}
        return {**grounds, "faint": Style(color=_FAINT_256[dark])}
    underlined = Style(bold=True, underline=True)
    plain = dict.fromkeys(full.syntax, Style())
    if depth == "none":
        return {
            "added": Style(),
            "removed": Style(),
            "added_word": underlined,
            "removed_word": underlined,
            "moved": Style(),
            "doubtful": Style(italic=True),
            "match": Style(underline=True),
            "match_current": Style(reverse=True),
            # As colours: reversed, the shades of text and cursor would become grounds, and hard to read.
            "selection": Style(color=full.text.bgcolor, bgcolor=full.text.color),
            "strong": Style(bold=True),
            "syntax": plain,
        }
    # The nearest of 16 colours to a light theme's text is a grey that can hardly be read, and so is yellow.
    on_white = {
        "text": Style(color="#000000", bgcolor="#ffffff"),
        "muted": Style(color="#000000"),
        "faint": Style(color="#555555"),
        "section": Style(color="#000000"),
    }
    red, highlight, frame = ("#ff5555", "#808000", "#008080") if dark else ("#800000", "#800080", "#000080")
    added, removed = _BLUE_ORANGE_16[dark] if tints == "blue-orange" else ("#008000", red)
    return {
        **({} if dark else on_white),
        "strong": Style(bold=True),
        "added": Style(color=added),
        "removed": Style(color=removed),
        "moved": Style(color=highlight),
        "added_word": Style(color=added) + underlined,
        "removed_word": Style(color=removed) + underlined,
        "doubtful": Style(italic=True),
        "match": Style(color="#000000", bgcolor="#808000"),
        "match_current": Style(color="#000000", bgcolor="#ffff00"),
        "selection": Style(color="#ffffff", bgcolor="#000080"),
        "success": Style(color="#008000"),
        "error": Style(color=red),
        "warning": Style(color=highlight),
        "accent": Style(color=highlight),
        "primary": Style(color=frame),
        # No ground is left for headings.
        "header": Style(bold=True, underline=True),
        # Of 16 colours none is left for syntax where added is green and removed is red.
        "syntax": plain,
    }
