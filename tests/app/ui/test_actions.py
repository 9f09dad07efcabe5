"""One table of actions: what it names exists, is shown, and can be given other keys."""

from pathlib import Path

import pytest
from textual.command import CommandList, CommandPalette

from app.paths import config_directory
from app.ui.base import ActionProvider
from app.ui.dialogs.help import HelpLines, HelpScreen
from app.ui.dialogs.sessions import SessionsScreen
from app.ui.find.text import FindText
from app.ui.keys.actions import ACTIONS, AT_THE_CURSOR, BY_ID, in_scope
from app.ui.keys.keymap import KeymapError, clashes, load_keymap
from app.ui.keys.labels import key_label
from app.ui.panes.lower.problems import ProblemsPane
from app.ui.panes.lower.terminal import TerminalPane
from app.ui.panes.lower.tests import TestsPane
from app.ui.review_app import ReviewScreen
from app.ui.screens.practice import PracticeScreen
from app.ui.slash import SLASH_COMMANDS
from app.ui.widgets.file_view import FileView
from tests.support.ui.screen import Stage


def write_keymap(text: str) -> None:
    path = config_directory() / "keymap.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def test_every_action_has_somebody_who_does_it(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        for action in ACTIONS:
            scope = "transcript" if action.scope == "lines" else action.scope
            screens = {"sessions": SessionsScreen, "standalone": ReviewScreen, "practice": PracticeScreen}
            screens |= {
                "find": FindText,
                "tests": TestsPane,
                "shell": TerminalPane,
                "terminal": TerminalPane,
                "problems": ProblemsPane,
            }
            target = screens.get(scope) or stage.app.target_of(scope)
            assert target is not None, action.id
            assert callable(getattr(target, f"action_{action.handler}", None)), action.id


def test_no_two_actions_of_a_scope_share_a_key() -> None:
    assert clashes({}) == []
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)


@pytest.mark.parametrize("columns", [80, 120])
async def test_help_lists_every_action_with_its_keys(columns: int, tmp_path: Path) -> None:
    async with Stage(tmp_path, keymap={"review.keep": ("y",)}).run(size=(columns, 24)) as stage:
        await stage.press("f1")
        await stage.until(lambda: isinstance(stage.app.screen, HelpScreen))
        lines = stage.app.screen.query_one("#help-lines", HelpLines)
        await stage.until(lambda: lines.row_count)
        rows = [lines.row_text(row) for row in range(lines.row_count)]
        assert max(map(len, rows)) <= lines.size.width
        first_words = BY_ID["review.keep"].description[:12]
        assert next(row for row in rows if first_words in row).split()[0] == "y"
        if columns == 80:
            words = " ".join(" ".join(rows).split())
            assert [action.id for action in ACTIONS if action.description not in words] == []
            assert [action.id for action in ACTIONS if action.id not in words] == []
        else:
            assert {row.split()[-1] for row in rows if row} >= {action.id for action in ACTIONS}
        await stage.press("escape")
        assert stage.app.screen is stage.screen


async def test_the_palette_runs_an_action_of_a_pane_without_focus(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n" * 50)
    async with Stage(tmp_path, show_file="a.txt").run() as stage:
        await stage.until(lambda: stage.screen.viewer.path == "a.txt")
        await stage.press("f5", "ctrl+p")
        await stage.until(lambda: isinstance(stage.app.screen, CommandPalette))
        await stage.press(*"wrap")
        found = stage.app.screen.query_one(CommandList)
        await stage.until(lambda: found.highlighted is not None and "Wrap" in str(found.options[0].prompt))
        await stage.press("enter")
        await stage.until(lambda: stage.screen.viewer.query_one("#file-view", FileView).wrap)


async def test_the_palette_has_everything_once_and_what_stands_behind_a_slash(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        commands = {command.name: command for command in ActionProvider(stage.screen)._commands()}
        words = [command.words for command in commands.values()]
        assert len(set(words)) == len(words) and not AT_THE_CURSOR & set(commands)
        behind_a_slash = {one.action or one.name for one in SLASH_COMMANDS}
        assert {one for one in behind_a_slash if stage.screen.is_of_use(one)} <= set(commands)
        commands["workspace.mode"].run()
        await stage.until(lambda: stage.agent.mode == "auto")
        commands["compact"].run()
        await stage.until(lambda: stage.agent.was_compacted)
        # One that means nothing without words waits for them.
        commands["rename"].run()
        await stage.until(lambda: stage.screen.agent.prompt.text == "/rename ")
        await stage.press(*"Sums", "enter")
        await stage.until(lambda: stage.agent.title == "Sums")


async def test_a_keymap_gives_other_keys_and_the_old_ones_go(tmp_path: Path) -> None:
    write_keymap('[keys]\n"viewer.wrap" = ["z", "ctrl+y"]\n"app.help" = "f11"\n')
    (tmp_path / "a.txt").write_text("x\n")
    async with Stage(tmp_path, keymap=load_keymap(), show_file="a.txt").run() as stage:
        await stage.until(lambda: stage.screen.viewer.path == "a.txt")
        view = stage.screen.viewer.query_one("#file-view", FileView)
        await stage.press("f3", "w")
        assert not view.wrap
        await stage.press("z")
        assert view.wrap
        hints = str(stage.screen.query_one("#hints").render())
        assert "z wrap" in hints
        assert "F11 help" in hints
        await stage.press("f11")
        await stage.until(lambda: isinstance(stage.app.screen, HelpScreen))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[keys", "not TOML"),
        ('[keys]\n"review.keeep" = "y"\n', "review.keeep"),
        ('[keys]\n"review.keep" = 3\n', "review.keep"),
        ("keys = 3\n", "table"),
    ],
)
def test_a_wrong_keymap_is_one_clear_sentence(text: str, words: str) -> None:
    write_keymap(text)
    with pytest.raises(KeymapError, match=words):
        load_keymap()


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("}", "right_curly_bracket"),
        ("right_curly_bracket", "right_curly_bracket"),
        ("shift+f3", "shift+f3"),
        ("ctrl+page_up", "ctrl+page_up"),
        ("+", "plus"),
        ("ctrl++", "ctrl+plus"),
    ],
)
def test_a_key_is_written_by_its_name_or_its_character(written: str, key: str) -> None:
    write_keymap(f'[keys]\n"viewer.wrap" = "{written}"\n')
    assert load_keymap()["viewer.wrap"] == (key,)


def test_a_key_given_twice_is_told() -> None:
    assert "review.reject" in clashes({"review.keep": ("x",)})[0]


def test_keys_are_written_as_people_write_them() -> None:
    assert [key_label(key) for key in ("ctrl+p", "question_mark", "f1", "slash", "G", "escape")] == [
        "Ctrl+P",
        "?",
        "F1",
        "/",
        "G",
        "Esc",
    ]


async def test_hints_follow_the_focus(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        hints = stage.screen.query_one("#hints")
        assert "send" in str(hints.render())
        await stage.press("f2")
        shown = str(hints.render())
        for action in in_scope("tree"):
            if action.hint:
                assert action.hint in shown


async def test_the_shell_is_one_key_away_from_a_message_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    async with Stage(tmp_path).run() as stage:
        prompt = stage.screen.agent.prompt
        monkeypatch.setattr(stage.app, "action_suspend_process", lambda: left.append(prompt.text))
        await stage.press(*"half", "ctrl+z")
        assert left == ["half"]
        await stage.press("ctrl+underscore")
        assert prompt.text != "half"


def test_every_action_has_a_key_that_a_macbook_sends() -> None:
    """In Terminal.app, without fn: no function keys, no Home, End and Page keys, Ctrl with letters only, and
    Shift with neither Enter nor Space."""
    lettered = "abcdefghijklmnopqrstuvwxyz"

    def is_sent(key: str) -> bool:
        *modifiers, last = key.split("+")
        controls = {*lettered, "underscore", "backslash"}
        if modifiers:
            return key == "shift+tab" or (modifiers == ["ctrl"] and last in controls)
        return last not in {"home", "end", "pageup", "pagedown", "insert", "delete"} and not (
            last[0] == "f" and last[1:].isdigit()
        )

    # What the message field does to the conversation, the conversation does by letters; Ctrl+F goes there.
    reading = {action.id for action in ACTIONS if action.id.startswith("prompt.read_")} | {"prompt.plan"}
    assert {
        action.id for action in ACTIONS if not any(map(is_sent, action.keys)) and action.id not in reading
    } == set()
