"""Vim's keys do what Vim does: 100 runs of random keys as Vim 9.0 answered them; and the field with them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.settings.settings import Settings
from app.ui.vim.motions import last_in_line
from app.ui.vim.vim import Vim
from tests.support.ui.screen import Stage

ANSWERS = [json.loads(line) for line in Path(__file__).with_name("vim_answers.jsonl").read_text().splitlines()]
"""[text, cursor, keys, text afterwards, cursor afterwards], written by Vim itself (`vim -u NONE -es`, each
command by `normal!`)."""
KEYS = [*"hjklwbe0^$gGdcypPxuiIaAoODC23", "escape"]


def press(vim: Vim, keys: list[str], text: str, cursor: int) -> tuple[str, int]:
    for key in keys:
        step = vim.press(key, text, cursor)
        if step is None:
            text, cursor = text[:cursor] + key + text[cursor:], cursor + len(key)
            continue
        if step.new is not None:
            text = text[: step.start] + step.new + text[step.end :]
        cursor = step.cursor
    return text, cursor


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer[2])
def test_keys_do_what_vim_does(answer: list) -> None:  # type: ignore[type-arg]
    text, cursor, keys, *expected = answer
    vim = Vim()
    _, cursor = press(vim, ["escape"], text, min(cursor, last_in_line(text, cursor)) + 1)
    pressed = [key for piece in keys.split("<Esc>") for key in (*piece, "escape")][:-1]
    assert press(vim, pressed, text, min(answer[1], last_in_line(text, answer[1]))) == tuple(expected)


@given(st.text("ab .\n", max_size=20), st.lists(st.sampled_from(KEYS), max_size=12))
def test_the_cursor_is_always_in_the_text(text: str, keys: list[str]) -> None:
    vim = Vim()
    cursor = 0
    for key in ["escape", *keys]:
        text, cursor = press(vim, [key], text, cursor)
        assert 0 <= cursor <= len(text)
        assert vim.mode == "insert" or cursor <= last_in_line(text, cursor)


async def test_the_field_has_vims_modes_by_setting(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.app.settings = Settings(vim_keys=True)
    async with stage.run():
        prompt = stage.screen.agent.prompt
        await stage.press(*"two words", "escape", "b", "d", "w")
        assert prompt.text == "two " and str(prompt.border_title) == "normal"
        await stage.press("u")
        assert prompt.text == "two words"
        await stage.press("0", "c", "w", *"three", "escape", "y", "y", "p")
        assert prompt.text == "three words\nthree words"
        # Escape with no command begun is the workspace's; sending begins anew in insert mode.
        await stage.press("d", "d", "enter")
        await stage.until(lambda: stage.agent.heard == ["three words"])
        await stage.press(*"dd")
        assert prompt.text == "dd" and str(prompt.border_title) == ""
