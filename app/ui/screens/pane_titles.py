"""What the borders of the panes say."""

from textual.content import Content

from app.ui.drawing.text import duration
from app.ui.panes.review.pane import ReviewPane

_SILENT_AFTER = 3.0  # seconds without a word from the model, after which that is said


def centre_title(file: str, review: ReviewPane, current: str | None) -> Content:
    """The centre's two views, `current` standing out; a click shows either."""
    desk = "" if review.desk.source == "" else f" of {review.desk.title}"
    count = f" {review.decided}/{review.total}" if review.total else ""
    names = {"viewer": file, "review": f"Review{desk}{count}"}
    return Content(" · ").join(
        Content.from_markup(
            f"[@click=screen.show_{name}]{'[b]' if name == current else '[dim]'}$words[/][/]", words=words
        )
        for name, words in names.items()
    )


def agent_title(*, is_asking: bool, working: float | None, silent: float | None) -> str:
    """What the agent is doing. `working` and `silent` are seconds since the turn began and since the model said
    something; None without a turn, and while it is not the model's turn."""
    if is_asking:
        return "Agent · [b $warning]asks you[/]"
    if working is None:
        return "Agent"
    word, seconds = "working", working
    if silent is not None and silent >= _SILENT_AFTER:
        word, seconds = "waiting", silent
    return f"Agent · [$accent]{word}[/] {duration(seconds)} · [dim]Esc stops[/]"
