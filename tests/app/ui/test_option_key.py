"""Option on a Mac: as Meta or not, no action is out of reach, and the user's own keys hold in either form."""

from pathlib import Path

import pytest
from textual.keys import _character_to_key

from app.ui.dialogs.sessions import SessionsScreen
from app.ui.keys.actions import ACTIONS
from app.ui.keys.keymap import load_keymap
from app.ui.keys.option_key import sent_by_option
from app.ui.widgets.line_input import LineInput
from tests.support.ui.screen import Stage


def test_no_action_of_ours_needs_option() -> None:
    assert [action.id for action in ACTIONS if all("alt+" in key for key in action.keys)] == []
    # Nor does any take what Option types in place of a letter, which is text.
    keys = {key for action in ACTIONS for key in action.keys}
    letters = [f"alt+{letter}" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    assert not keys & {sent_by_option(key) for key in letters}


@pytest.mark.parametrize(
    ("key", "character"),
    [("alt+f", "ƒ"), ("alt+o", "ø"), ("alt+w", "∑"), ("alt+O", "Ø"), ("alt+shift+l", "Ò"), ("alt+z", "Ω")],
)
def test_each_letter_has_the_character_of_a_mac(key: str, character: str) -> None:
    assert sent_by_option(key) == _character_to_key(character)


@pytest.mark.parametrize("key", ["alt+e", "alt+left", "ctrl+f", "f", "alt+ctrl+f", "alt+7", "alt+"])
def test_what_types_nothing_has_none(key: str) -> None:
    assert sent_by_option(key) is None


def test_a_keymap_with_option_holds_whatever_the_terminal_sends(tmp_path: Path) -> None:
    path = tmp_path / "keymap.toml"
    path.write_text(
        '[keys]\n"review.keep" = "alt+k"\n"review.next_hunk" = ["n", "alt+n"]\n"prompt.editor" = "alt+o"\n'
        '"app.palette" = "alt+p"\n'
    )
    assert load_keymap(path, "linux")["review.keep"] == ("alt+k",)
    assert load_keymap(path, "darwin") == {
        "review.keep": ("alt+k", _character_to_key("˚")),
        "review.next_hunk": ("n", "alt+n"),
        # These would take a character that is being written.
        "prompt.editor": ("alt+o",),
        "app.palette": ("alt+p",),
    }


async def test_option_moves_and_deletes_by_words_where_text_is_written(tmp_path: Path) -> None:
    async with Stage(tmp_path).run() as stage:
        prompt = stage.screen.agent.prompt
        await stage.press(*"one two", "alt+left", "x", "alt+left", "alt+left", "y", "alt+right", "z")
        assert prompt.text == "yonez xtwo"
        await stage.press("ctrl+o")
        await stage.until(lambda: isinstance(stage.app.screen, SessionsScreen))
        field = stage.app.screen.query_one(LineInput)
        await stage.press(*"one two", "alt+left", "x", "alt+backspace", "alt+right", "y")
        assert field.value == "one twoy"
