"""The theme's colours as the styles that line-drawn widgets paint with.

Everything is blended from the theme's base colours, so that any theme of Textual's works, not only ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rich.style import Style
from textual.color import Color


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
    filler: Style
    syntax: Mapping[str, Style]

    @classmethod
    def from_variables(cls, variables: Mapping[str, str]) -> "Palette":
        """The palette of the theme whose CSS variables these are."""

        def named(name: str) -> Color:
            return Color.parse(variables[name])

        background, foreground = named("background"), named("foreground")
        primary, secondary, accent = named("primary"), named("secondary"), named("accent")
        success, warning, error = named("success"), named("warning"), named("error")
        panel, surface = named("panel"), named("surface")
        dark = background.brightness < 0.5

        def over(color: Color, amount: float) -> Color:
            return background.blend(color, amount)

        def fore(color: Color, *, bold: bool = False, italic: bool = False) -> Style:
            return Style(color=color.rich_color, bold=bold or None, italic=italic or None)

        def back(color: Color, front: Color | None = None) -> Style:
            return Style(bgcolor=color.rich_color, color=front.rich_color if front else None)

        muted = over(foreground, 0.70 if dark else 0.78)
        return cls(
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
            added=back(over(success, 0.13 if dark else 0.12)),
            removed=back(over(error, 0.13 if dark else 0.10)),
            added_word=back(over(success, 0.32 if dark else 0.28)),
            removed_word=back(over(error, 0.34 if dark else 0.24)),
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
                "added": fore(success),
                "removed": fore(error),
            },
        )
