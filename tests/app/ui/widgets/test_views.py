"""The line-drawn views: viewer, transcript, message field, and the text they are made of."""

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.color import Color

from app.ui.drawing.markdown import stable_blocks
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import columns, paint, visible, wrap
from app.ui.drawing.themes import DARK, LIGHT
from app.ui.panes.file_text import split_lines
from app.ui.widgets.agent.transcript_items import NoticeItem, ReplyItem
from app.ui.widgets.file_view import FileView
from tests.support.ui.screen import Stage


def drawn(view: object) -> str:
    """What a line view shows now."""
    return "\n".join(view.render_line(y).text for y in range(view.size.height))  # type: ignore[attr-defined]


async def opened(stage: Stage, path: str) -> FileView:
    await stage.until(lambda: stage.screen.viewer.path == path, path)
    await stage.press("f3")
    return stage.screen.viewer.query_one("#file-view", FileView)


async def test_the_viewer_searches_jumps_and_wraps(tmp_path: Path) -> None:
    lines = [f"value_{number} = {number}" for number in range(1000)]
    lines[700] += " # " + "wide " * 60 + "needle"
    (tmp_path / "a.py").write_text("\n".join(lines))
    async with Stage(tmp_path, show_file="a.py").run() as stage:
        view = await opened(stage, "a.py")
        await stage.press("slash", *"NEEDLE", "enter")
        assert view.line_number != 701, "a capital letter means itself"
        await stage.press("slash", *"needle", "enter")
        assert view.line_number == 701
        await stage.press("colon", *"12", "enter")
        assert view.line_number == 12
        await stage.press("n")
        assert view.line_number == 701
        await stage.press("w")
        assert view.line_number == 701
        assert "needle" in "".join(drawn(view).split()), "a word may be broken where the pane ends"
        await stage.press("w", "g")
        assert view.line_number == 1


async def test_a_huge_file_scrolls_without_reading_it_all(tmp_path: Path) -> None:
    (tmp_path / "huge.py").write_text("x = 1  # a line of some length that is nothing special\n" * 200_000)
    (tmp_path / "one.json").write_text("[" + "12345678, " * 200_000 + "0]")
    async with Stage(tmp_path, show_file="huge.py").run() as stage:
        view = await opened(stage, "huge.py")
        # The processor's time for this process: what else the machine does is not counted.
        began = time.process_time()
        await stage.press("G", "k", "g", "G")
        at_end = time.process_time() - began
        assert view.line_number == 200_000
        await stage.press("g")
        began = time.process_time()
        await stage.press("j", "k", "j", "k")
        assert at_end < 20 * (time.process_time() - began), "the end costs what the start costs"
        stage.screen.open_file("one.json")
        view = await opened(stage, "one.json")
        assert "12345678" in drawn(view)
        await stage.press(*["l"] * 20)
        assert "12345678" in drawn(view)


async def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 10)
    async with Stage(tmp_path, show_file="a.bin").run() as stage:
        await stage.until(lambda: stage.screen.viewer.path == "a.bin")
        assert "a.bin" in str(stage.screen.query_one("#viewer-notice").render())
        assert not stage.screen.query_one("#file-view").display


async def test_a_file_changed_by_others_is_shown_anew_at_the_same_place(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old\n" * 500)
    async with Stage(tmp_path, show_file="a.txt").run() as stage:
        view = await opened(stage, "a.txt")
        await stage.press("colon", *"300", "enter")
        (tmp_path / "a.txt").write_text("new\n" * 500)
        stage.screen.viewer.reload()
        await stage.until(lambda: "new" in drawn(view))
        assert view.line_number == 300


async def test_a_megabyte_is_pasted_as_a_sign_and_sent_in_full(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        prompt = stage.screen.agent.prompt
        text = "some words of a log file\n" * 40_000
        prompt.insert("Look: ")
        prompt.take(text)
        assert prompt.text == "Look: [pasted 1,000,000 characters]"
        await stage.press("enter")
        await stage.until(lambda: stage.agent.heard)
        assert stage.agent.heard == ["Look: " + text.strip()]
        prompt.take("x" * 5000)
        await stage.press("backspace")
        assert prompt.text == "", "the sign goes as one"


async def test_a_long_conversation_follows_a_change_of_width(tmp_path: Path) -> None:
    async with Stage(tmp_path).run((200, 40)) as stage:
        view = stage.screen.agent.transcript
        for number in range(150):
            item = ReplyItem()
            item.append(f"Answer {number}: " + "some words of it " * 20)
            view.add(item)
        await stage.until(lambda: "Answer 149" in drawn(view))
        wide = view.row_count
        await stage.pilot.resize_terminal(110, 40)
        await stage.until(lambda: "Answer 149" in drawn(view) and view.row_count > wide)
        await stage.until(lambda: view._settling is None and view._dirty_from is None, "all of it drawn anew")
        assert view.row_count == sum(len(item.strips(view.size.width, view.palette)) for item in view.items)
        assert "Answer 149" in drawn(view)
        view.focus()
        await stage.press("g")
        assert "Answer 0:" in drawn(view)
        view.add(NoticeItem("one more"))
        await stage.until(lambda: view._dirty_from is None)
        assert "Answer 0:" in drawn(view), "reading is not disturbed by what comes"


async def test_history_comes_back_with_the_draft_behind_it(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        prompt = stage.screen.agent.prompt
        for message in ("one", "two"):
            await stage.say(message)
            await stage.until(lambda: not stage.screen.agent.is_working)
        prompt.insert("draft")
        await stage.press("up")
        assert prompt.text == "two"
        await stage.press("up", "up")
        assert prompt.text == "one"
        await stage.press("down", "down")
        assert prompt.text == "draft"
        await stage.press("ctrl+j", "x")
        assert prompt.text == "draft\nx"


async def test_a_name_is_neither_markup_nor_a_command_to_the_terminal(tmp_path: Path) -> None:
    name = "[bold] [red]x\x1b[31m.txt"
    (tmp_path / name).write_text("[/nothing] \x1b]0;title\x07\n")
    async with Stage(tmp_path, show_file=name).run() as stage:
        view = await opened(stage, name)
        assert "[/nothing] ␛]0;title␇" in drawn(view)
        await stage.until(lambda: stage.screen.files.root.children)
        assert str(stage.screen.files.root.children[0].label) == "[bold] [red]x␛[31m.txt"
        assert "[bold] [red]x␛[31m.txt" in stage.screen.query_one("#centre-pane")._border_title.plain
        stage.app.notify("[/oops] and [red")
        await stage.pilot.pause()


async def test_the_mouse_opens_selects_and_presses_keys(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first line\nsecond line\n")
    async with Stage(tmp_path).run((160, 40)) as stage:
        await stage.until(lambda: stage.screen.files.root.children)
        await stage.pilot.click(stage.screen.files, offset=(4, 0))
        view = await opened(stage, "a.txt")
        left = view.gutter_width
        await stage.pilot.mouse_down(view, offset=(left + 6, 0))
        await stage.pilot.hover(view, offset=(left + 5, 1))
        await stage.pilot.mouse_up(view, offset=(left + 5, 1))
        assert stage.screen.get_selected_text() == "line\nsecond", "without line numbers"
        hints = stage.screen.query_one("#hints")
        await stage.pilot.click(hints, offset=(str(hints.render()).index("wrap"), 0))
        await stage.until(lambda: view.wrap)
        await stage.pilot.click(stage.screen.query_one("#centre-pane"), offset=(14, 0))
        await stage.until(lambda: stage.screen.switcher.current == "review")


async def test_the_tree_keeps_its_place_when_the_disk_changes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "deep.txt").write_text("x")
    async with Stage(tmp_path).run((160, 40)) as stage:
        tree = stage.screen.files
        await stage.until(lambda: tree.root.children)
        await tree.reveal("b/inner/deep.txt")
        assert tree.cursor_node.data.path == "b/inner/deep.txt"
        (tmp_path / "a.txt").write_text("x")
        (tmp_path / "b" / "another.txt").write_text("x")
        tree.changed_on_disk({"a.txt", "b/another.txt"})
        await stage.until(lambda: any(str(node.label) == "a.txt" for node in tree.root.children))
        await stage.until(
            lambda: any(str(node.label) == "another.txt" for node in tree.root.children[1].children)
        )
        assert tree.cursor_node.data.path == "b/inner/deep.txt"
        await stage.press("f2", "h")
        assert tree.cursor_node.data.path == "b/inner"


async def test_ignored_files_are_dimmed_and_hidden_on_a_key(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\n")
    (tmp_path / "a.log").write_text("x")
    (tmp_path / "b.txt").write_text("x")
    (tmp_path / ".git").mkdir()
    async with Stage(tmp_path).run() as stage:
        tree = stage.screen.files

        def names() -> list[str]:
            return [str(node.label) for node in tree.root.children]

        await stage.until(lambda: names() == [".gitignore", "a.log", "b.txt"])
        await stage.press("f2", "i")
        assert names() == [".gitignore", "b.txt"]
        (tmp_path / "c.txt").write_text("x")
        tree.changed_on_disk({"c.txt"})
        await stage.until(lambda: names() == [".gitignore", "b.txt", "c.txt"])


@given(st.text(alphabet="ab\n", max_size=30), st.integers(1, 8))
def test_lines_split_in_portions_are_the_lines(text: str, portion: int) -> None:
    assert split_lines(text, portion) == (text.removesuffix("\n").split("\n") if text else [""])


@given(st.text())
def test_nothing_that_a_terminal_obeys_reaches_it(text: str) -> None:
    shown = visible(text)
    assert not any(ord(character) < 32 or 0x7F <= ord(character) < 0xA0 for character in shown)


@given(st.text(alphabet="ab\t é漢", max_size=20), st.data())
def test_spans_follow_their_characters_through_tabs(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    ((left, right),) = columns(text, [(start, end)])
    assert visible(text)[left:right].replace(" ", "") == text[start:end].replace("\t", "").replace(" ", "")


@given(st.text(alphabet="ab 漢é", max_size=40), st.lists(st.tuples(st.integers(-5, 45), st.integers(-5, 45))))
def test_painting_keeps_the_text(text: str, spans: list[tuple[int, int]]) -> None:
    palette = Palette.from_variables(DARK.to_color_system().generate())
    painted = paint(text, palette.text, [(start, end, palette.added) for start, end in spans])
    assert "".join(segment.text for segment in painted) == text


@given(st.text(alphabet="ab \n漢", max_size=120), st.integers(4, 30))
def test_wrapped_lines_fit_and_lose_only_spaces(text: str, width: int) -> None:
    rows = wrap(text, width)
    assert all(cell_len(row) <= width for row in rows)
    assert "".join(rows).replace(" ", "") == text.replace("\n", "").replace(" ", "")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["a", "", "```", "```py", "- b", "  c", "# d", "~~~~", "> e"])), st.data())
def test_a_streamed_reply_is_cut_the_same_however_it_arrives(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    assert "\n".join(stable_blocks(text)) == text
    item = ReplyItem()
    rest = text
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        item.append(rest[:size])
        rest = rest[size:]
    palette = Palette.from_variables(DARK.to_color_system().generate())
    whole = ReplyItem()
    whole.append(text)
    assert [strip.text for strip in item.render(40, palette)] == [
        strip.text for strip in whole.render(40, palette)
    ]


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_colours_can_be_told_from_their_backgrounds(theme: object) -> None:
    palette = Palette.from_variables(theme.to_color_system().generate())  # type: ignore[attr-defined]

    def contrast(front: object, back: object) -> float:
        light, dark = sorted(
            (
                sum(
                    share * (channel / 12.92 if channel <= 0.03928 else ((channel + 0.055) / 1.055) ** 2.4)
                    for share, channel in zip(
                        (0.2126, 0.7152, 0.0722), Color.from_rich_color(color).normalized, strict=True
                    )
                )
                for color in (front, back)
            ),
            reverse=True,
        )
        return (light + 0.05) / (dark + 0.05)

    grounds = [
        style.bgcolor
        for style in (palette.text, palette.added, palette.removed, palette.cursor_line, palette.header)
    ]
    for ground in grounds:
        assert contrast(palette.text.color, ground) >= 7
        for name in ("primary", "accent", "success", "error", "muted"):
            assert contrast(getattr(palette, name).color, ground) >= 4.5, name
        for name, style in palette.syntax.items():
            assert contrast(style.color, ground) >= 4.5, name
    for ground in (palette.added_word.bgcolor, palette.removed_word.bgcolor):
        assert contrast(palette.text.color, ground) >= 4.5
    assert contrast(palette.faint.color, palette.text.bgcolor) >= 2.5
