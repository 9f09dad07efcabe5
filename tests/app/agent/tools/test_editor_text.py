"""Files that the user's editor has open: what it has not saved is respected, what only looks so is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.agent.errors import ToolFailure
from app.agent.shell.jobs import Jobs
from app.agent.tools.base import Tool, ToolContext
from app.agent.tools.edit import Edit
from app.agent.tools.files import Files
from app.agent.tools.read_file import ReadFile
from app.workspace.workspace import Workspace
from tests.support.agent.agent_bench import Recorder

Shows = Callable[[bytes, str], str]
EDITORS: dict[str, Shows] = {
    "knows the encoding": lambda data, encoding: data.decode(encoding),
    "replaces": lambda data, _encoding: data.decode("utf-8", "replace"),
    "ignores": lambda data, _encoding: data.decode("utf-8", "ignore"),
    "normalizes line endings": lambda data, encoding: "\n".join(data.decode(encoding).splitlines()) + "\n",
    "gives lines": lambda data, encoding: "\n".join(data.decode(encoding).splitlines()),
}


async def use(tool: Tool[Any], root: Path, files: Files, **arguments: str) -> str:
    context = ToolContext(Workspace(root), files, Jobs(root / "jobs"), _no_output)
    return (await tool.run(tool.parse(json.dumps(arguments)), context)).text


async def _no_output(_text: str) -> None: ...


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("editor", EDITORS)
async def test_what_an_editor_shows_of_a_saved_file_is_no_change(
    tmp_path: Path, editor: str, encoding: str
) -> None:
    file = tmp_path / "f.txt"
    file.write_bytes("caf\u00e9\r\ntwo\r\n".encode(encoding))
    files = Files(Recorder(tmp_path), lambda path: EDITORS[editor](path.read_bytes(), encoding))
    assert "caf\u00e9\ntwo" in await use(ReadFile(), tmp_path, files, file_path="f.txt")
    await use(Edit(), tmp_path, files, file_path="f.txt", old_string="two", new_string="zwei")
    assert file.read_bytes() == "caf\u00e9\r\nzwei\r\n".encode(encoding)


async def test_an_editor_that_has_not_noticed_what_was_written_is_not_in_the_way(tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_text("one\ntwo\n")
    shown = file.read_text()
    files = Files(Recorder(tmp_path), lambda _path: shown)
    for old, new in (("one", "eins"), ("two", "zwei")):
        await use(Edit(), tmp_path, files, file_path="f.txt", old_string=old, new_string=new)
    assert file.read_text() == "eins\nzwei\n"
    assert "eins" in await use(ReadFile(), tmp_path, files.afresh(), file_path="f.txt")
    shown = file.read_text()  # now it has
    await use(ReadFile(), tmp_path, files, file_path="f.txt")
    shown = "one\ntwo\n"  # so that this is the user's doing
    await use(ReadFile(), tmp_path, files, file_path="f.txt")
    with pytest.raises(ToolFailure, match="unsaved changes"):
        await use(Edit(), tmp_path, files, file_path="f.txt", old_string="two", new_string="three")
    assert file.read_text() == "eins\nzwei\n"


async def test_unsaved_text_that_the_encoding_cannot_hold_is_read(tmp_path: Path) -> None:
    file = tmp_path / "f.txt"
    file.write_bytes("caf\u00e9\n".encode("cp1252"))
    files = Files(Recorder(tmp_path), lambda _path: "caf\u00e9 \u2192\n")
    assert "\u2192" in await use(ReadFile(), tmp_path, files, file_path="f.txt")
    with pytest.raises(ToolFailure, match="unsaved changes"):
        await use(Edit(), tmp_path, files, file_path="f.txt", old_string="caf\u00e9 \u2192", new_string="tea")
    assert file.read_bytes() == "caf\u00e9\n".encode("cp1252")
