"""Copying lines of the review."""

from textual.app import App

from app.ui.base import ActionApp


async def copy(app: App[object], text: str) -> None:
    """Put `text` on the clipboard, and say so."""
    assert isinstance(app, ActionApp)
    count = text.count("\n") + 1
    lines = f"{count} line{'' if count == 1 else 's'}"
    if await app.copy(text):
        app.notify(f"Copied {lines}.", timeout=2)
    else:
        app.notify(f"Asked the terminal to copy {lines}; some terminals do not.", timeout=4)
