"""Theme, settings and keys are chosen on the screen, kept in files beside their comments, and hold at once."""

from pathlib import Path

import pytest
from rich.cells import cell_len

from app.settings.settings import BadSettings, Settings, load_settings, settings_file
from app.ui.dialogs.help import HelpLines, HelpScreen
from app.ui.drawing.themes import CONTRAST, DARK
from app.ui.keys.actions import ACTIONS
from app.ui.keys.keymap import clashes, clashing, keymap_path, load_keymap
from app.ui.preferences.keymap_editor import KeymapEditor
from app.ui.preferences.presets import preset_keys
from app.ui.preferences.settings_rows import AT_ONCE, WORDS
from app.ui.preferences.settings_screen import SettingsScreen
from app.ui.preferences.theme_picker import ThemePicker, theme_rows
from tests.support.ui.screen import Stage


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def test_a_theme_is_tried_on_and_kept_or_left(tmp_path: Path) -> None:
    write(settings_file(), '# mine\nmodel = "m"  # the best\n')
    async with Stage(tmp_path).run() as stage:
        names = [row.key for row in theme_rows(list(stage.app.available_themes))]
        assert set(names) == set(stage.app.available_themes) and names[0] == DARK.name
        await stage.press("ctrl+t")
        await stage.until(lambda: isinstance(stage.app.screen, ThemePicker))
        await stage.press("j", "j")
        assert stage.app.theme == CONTRAST.name
        await stage.press("escape")
        assert stage.app.theme == DARK.name and "theme" not in settings_file().read_text()
        await stage.press("ctrl+t")
        await stage.until(lambda: isinstance(stage.app.screen, ThemePicker))
        await stage.press("j", "j", "enter")
        await stage.until(lambda: load_settings().theme == CONTRAST.name)
        assert stage.app.theme == CONTRAST.name
        assert settings_file().read_text().startswith('# mine\nmodel = "m"  # the best\n')


async def test_settings_are_changed_beside_their_comments(tmp_path: Path) -> None:
    write(settings_file(), "# mine\nvim_keys = false  # not yet\n\n[mcp.time]\ncommand = 'uvx'\n")
    async with Stage(tmp_path).run() as stage:
        await stage.press("f2", "semicolon")
        await stage.until(lambda: isinstance(stage.app.screen, SettingsScreen))
        screen = stage.app.screen
        assert isinstance(screen, SettingsScreen)

        async def go_to(name: str) -> None:
            screen._lines.move_to([row.key for row in screen._lines.entries].index(name))

        # What there is no room for is seen to be missing.
        cut, _, spans, _ = screen._lines.body(0, 0, 20)
        assert cell_len(cut) <= 20 and cut.endswith("…") and all(end <= len(cut) for _, end, _ in spans)
        assert not screen._lines.body(0, 0, 200)[0].endswith("…")
        await go_to("vim_keys")
        await stage.press("enter")
        await stage.until(lambda: stage.screen.agent.prompt.vim is not None)
        await go_to("engine_idle_minutes")
        await stage.press("enter", *["backspace"] * 4, *"nine", "enter")
        await stage.until(lambda: "positive number" in str(screen._note.render()))
        await stage.press("enter", *["backspace"] * 4, *"9", "enter")
        await stage.until(lambda: load_settings().engine_idle_minutes == 9)
        assert load_settings().vim_keys and stage.app.settings.vim_keys
        text = settings_file().read_text()
        assert text.startswith("# mine\nvim_keys = true  # not yet\n") and "[mcp.time]" in text


def test_every_setting_is_explained() -> None:
    assert WORDS.keys() == Settings.__dataclass_fields__.keys() and WORDS.keys() >= AT_ONCE


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# one\n\noffline = 3\n", 3),
        ("model = 'a'\nmodle = 'b'\n", 2),
        ("[[rules]]\ndecision = 'allow'\n\n[[rules]]\ndecision = 'perhaps'\n", 4),
        ("bell = true\n\n[mcp]\ntime = 3\n", 3),
    ],
)
def test_a_wrong_setting_is_told_with_its_line(text: str, line: int) -> None:
    write(settings_file(), text)
    with pytest.raises(BadSettings, match=f"line {line}"):
        load_settings()


async def test_keys_are_changed_with_what_they_clash_with(tmp_path: Path) -> None:
    write(keymap_path(), '# mine\n[keys]\n"app.help" = "f11"  # far away\n')
    stage = Stage(tmp_path, keymap=load_keymap())
    async with stage.run():
        await stage.press("f2", "K")
        await stage.until(lambda: isinstance(stage.app.screen, KeymapEditor))
        editor = stage.app.screen
        assert isinstance(editor, KeymapEditor)

        async def catch(name: str, how: str, key: str) -> None:
            editor._lines.move_to([row.key for row in editor._lines.entries].index(name))
            await stage.press(how, key)

        await catch("tree.delete", "enter", "n")
        await stage.until(lambda: "tree.create" in str(editor._note.render()))
        await catch("tree.delete", "enter", "ctrl+k")
        await catch("tree.delete", "a", "X")
        await stage.until(lambda: load_keymap().get("tree.delete") == ("ctrl+k", "X"))
        assert '# mine\n[keys]\n"app.help" = "f11"  # far away\n' in keymap_path().read_text()
        await stage.press("escape")
        asked: list[str] = []
        stage.screen.files.action_delete = lambda: asked.append("delete")  # type: ignore[method-assign]
        await stage.press("d", "X")
        assert asked == ["delete"], "the new key holds at once, and the old one no more"
        await stage.press("K", "slash", *"tree.delete", "enter", "d")
        await stage.until(lambda: "tree.delete" not in load_keymap())
        await stage.press("escape", "escape", "d")
        assert asked == ["delete"] * 2


def test_presets_leave_every_action_a_key_and_none_twice() -> None:
    plain = preset_keys("plain")
    assert preset_keys("vim") == {} and plain["lines.down"] == ("down",)
    assert clashes(plain) == [] and all(plain.values())
    taken = {key for action in ACTIONS if action.scope == "lines" for key in plain.get(action.id, action.keys)}
    assert not taken & set("hjklgG")


def test_what_a_key_does_elsewhere_at_the_same_place_is_a_clash() -> None:
    assert clashing("viewer.wrap", "j", {}) == ["lines.down"]
    assert clashing("tree.open", "ctrl+q", {}) == ["app.quit"]
    assert clashing("prompt.send", "K", {}) == [], "in the message it is a letter"
    assert clashing("viewer.wrap", "z", {}) == [], "the review is another place"


async def test_help_begins_with_where_one_is_also_in_a_dialog(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:

        async def first_rows() -> str:
            await stage.press("f1")
            await stage.until(lambda: isinstance(stage.app.screen, HelpScreen))
            lines = stage.app.screen.query_one("#help-lines", HelpLines)
            await stage.until(lambda: lines.row_count)
            rows = "\n".join(lines.row_text(row) for row in range(6))
            await stage.press("escape")
            return rows

        assert (await first_rows()).startswith("Message\n")
        await stage.press("f2")
        assert (await first_rows()).startswith("Files\n")
        await stage.press("ctrl+t")
        await stage.until(lambda: isinstance(stage.app.screen, ThemePicker))
        shown = await first_rows()
        assert shown.startswith("Theme\n") and "Keep this theme" in shown
        assert isinstance(stage.app.screen, ThemePicker)
