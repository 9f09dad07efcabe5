"""A conversation of many entries: drawn where it is looked at, and nothing jumps."""

from pathlib import Path

from app.ui.widgets.agent.call_item import CallItem
from app.ui.widgets.agent.transcript import Transcript
from app.ui.widgets.agent.transcript_items import Item, ReplyItem, UserItem
from tests.support.ui.screen import Stage

MANY = 1_500


def entries() -> list[Item]:
    """Entries whose height on the screen cannot be told from their text."""
    items: list[Item] = []
    for number in range(MANY):
        match number % 3:
            case 0:
                items.append(UserItem(f"wish {number}"))
            case 1:
                reply = ReplyItem()
                code = "x = 1\n" * (number % 7)
                reply.append(f"reply {number}\nin *one*\nparagraph\n\n```python\n{code}```\n")
                items.append(reply)
            case 2:
                call = CallItem(str(number), "glob")
                call.summary, call.state = f"call {number} " + "word " * (number % 40), "ok"
                items.append(call)
    return items


def in_view(view: Transcript) -> list[str]:
    """The words that begin an entry, from top to bottom."""
    first = view.scroll_offset.y
    rows = [view.row_text(row) for row in range(first, min(view.row_count, first + view.page))]
    words = [row.strip(" ▌●").split(" ")[:2] for row in rows]
    return [" ".join(pair) for pair in words if len(pair) == 2 and pair[1].isdigit()]


async def test_only_what_is_looked_at_is_drawn_and_nothing_jumps(tmp_path: Path) -> None:
    async with Stage(tmp_path).run((100, 30)) as stage:
        view = stage.screen.agent.transcript
        for item in entries():
            view.add(item)
        last = f"call {MANY - 1}"
        await stage.until(lambda: last in in_view(view))
        drawn = sum(item.is_drawn_for(view.size.width, view.palette) for item in view.items)
        assert drawn < MANY / 2, "what is far above is not drawn yet"

        # Page by page: each page begins with what the one below it began after, so that nothing is passed over.
        view.focus()
        seen: list[str] = in_view(view)
        for _ in range(20):
            await stage.press("pageup")
            await stage.pilot.pause()
            page = in_view(view)
            numbers = [int(word.split()[1]) for word in page]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            assert numbers[-1] >= int(seen[0].split()[1]) - 1, "something was passed over"
            seen = page

        await stage.press("home")
        await stage.until(lambda: in_view(view)[:1] == ["wish 0"])
        top = in_view(view)
        stage.app.theme = "tidegate-light"
        await stage.pilot.resize_terminal(60, 30)
        await stage.until(lambda: view.size.width < 60 and in_view(view)[:3] == top[:3])
        await stage.press("end")
        await stage.until(lambda: last in in_view(view))
