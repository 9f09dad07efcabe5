"""A dialog that was left is freed, with all that was drawn of it."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import ref

import pytest

from app.ui.dialogs.comment import CommentDialog
from app.ui.dialogs.confirm import Confirm
from app.ui.dialogs.dialog import Dialog
from app.ui.dialogs.edit_hunk import EditHunkDialog
from tests.support.ui.screen import Stage


@pytest.mark.parametrize(
    "dialog", [lambda: CommentDialog("a.py:1", 1), lambda: EditHunkDialog("a.py:1", "one\ntwo", str)]
)
async def test_a_dialog_that_was_left_is_freed(tmp_path: Path, dialog: Callable[[], Dialog[Any]]) -> None:
    async def opened(dialog: Dialog[Any]) -> list[ref[object]]:
        await stage.app.push_screen(dialog)
        await stage.pilot.pause()
        drawn = [ref[object](widget._styles_cache) for widget in dialog.query("*")]
        await stage.press("escape")
        await stage.until(lambda: not dialog.is_running)
        return [ref(dialog), *drawn]

    async with Stage(tmp_path).run() as stage:
        held = await opened(dialog())
        await opened(Confirm("What", "Whether", "Yes", "No"))  # the last one is still known in some places
        gc.collect()
        assert len(held) == 3
        assert not [one() for one in held if one() is not None]
