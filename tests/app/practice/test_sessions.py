"""The expert's sessions: what the tools really say, and no word that is not true."""

import asyncio
import copy
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from app.agent.shell.jobs import Jobs
from app.agent.tools.base import ToolContext
from app.agent.tools.files import Files
from app.agent.tools.toolbox import TOOLS
from app.practice import data_folder
from app.practice.draw import Draw
from app.practice.expert.session import FORMS, Expert, NotShown
from app.practice.expert.stage import Stage
from app.practice.mistakes import corrected
from app.practice.tasks import generate
from app.practice.transcripts import records
from app.workspace.workspace import Workspace
from tests.support.agent.agent_bench import Recorder


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.mark.parametrize("kind", ["misspelt-name", "wrong-comparison", "missing-colon"])
def test_tests_in_this_process_print_what_the_command_does(kind: str, stage: Stage, tmp_path: Path) -> None:
    task = generate(11, kind, "all")
    stage.set(task, Draw(1))
    for path, text in task.files.items():
        (tmp_path / path).write_text(text)

    async def command() -> str:
        async def printed(_text: str) -> None:
            pass

        files = Files(Recorder(tmp_path))
        context = ToolContext(Workspace(tmp_path), files, Jobs(tmp_path / "jobs"), printed)
        tool = TOOLS["run_shell_command"]
        written = tool.arguments.model_validate({"command": f"{sys.executable} -B -m unittest"})
        return (await tool.run(written, context)).text

    def bare(text: str) -> str:
        """Without what differs from one run to the next."""
        text = re.sub(r"in \d+\.\d+s", "in 0s", text)
        return re.sub(r'File "[^"]*/(\w+\.py)"', r'File "\1"', text)

    told = stage.call("run_shell_command", {"command": task.test_command})
    assert bare(told) == bare(asyncio.run(command()))
    assert "[Exit status 1]" in told


@pytest.mark.parametrize("form", FORMS)
def test_a_session_ends_with_the_truth(form: str, stage: Stage) -> None:
    shown = 0
    for seed in range(40):
        task = generate(seed, pool="all")
        draw = Draw(seed)
        stage.set(task, draw)
        try:
            made = Expert(task, stage, draw).session(form)
        except NotShown:
            continue
        shown += 1
        last = made.messages[-1]["content"]
        results = [message["content"] for message in made.messages if message["role"] == "tool"]
        is_green = results[-1].endswith("\nOK")
        assert stage.passes() == is_green == last.endswith("All tests pass now.")
        assert is_green or last.startswith("The tests still fail: ")
        assert is_green == (form != "gives-up")
        assert all(made.messages[index]["role"] == "assistant" for index in made.masked)
        assert form == "plain" or made.masked
        if form == "refused":
            refusals = ("old_string was not found", "old_string and new_string are the same")
            assert any(result.startswith(refusals) for result in results)
        if form == "loop":
            assert any("You have made this very call 3 times" in result for result in results)
        if shown == 5:
            return
    assert shown, f"no task lends itself to {form}"


def test_edits_that_are_learnt_name_the_line_they_change() -> None:
    for record in islice(records("train", 0, None, share_of_dense=0.5), 20):
        assert record["deciding"]
        for place in record["deciding"]:
            message = record["messages"][place["message"]]
            edit = message["tool_calls"][0]["function"]["arguments"]
            assert place["message"] not in record["masked"]
            quoted = edit["old_string"].split("\n")[0].strip()
            assert quoted in place["line"] or place["line"].strip() in edit["new_string"]
            assert place["line"].strip() in message["content"]


def test_a_data_folder_is_whole_and_goes_on_where_it_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["data_folder", str(tmp_path), "--train=2", "--dense=3", "--valid=1"])
    assert data_folder.main() == 0
    counts = {path.name: len(path.read_text().splitlines()) for path in tmp_path.iterdir()}
    valid = {f"valid-{name}.jsonl": 1 for name in ("shown", "known", "compositions", "templates")}
    assert counts == {"train-00.jsonl": 2, "dense-00.jsonl": 3, **valid}
    (tmp_path / "train-00.jsonl").write_text("kept")
    assert data_folder.main() == 0
    assert (tmp_path / "train-00.jsonl").read_text() == "kept"


def test_a_learners_mistake_is_shown_and_put_right() -> None:
    wanted = ("missing-colon", "misspelt-name", "missing-import", "missing-return")
    attempts = []
    for record in islice(records("train", 0, "shown", 0.0, wanted), 12):
        assert record["kind"] in wanted
        turn = next(n for n, message in enumerate(record["messages"]) if called(message) == "edit")
        attempt = copy.deepcopy(record["messages"][turn])
        edit = attempt["tool_calls"][0]["function"]["arguments"]
        edit["new_string"] = edit["old_string"] + "\n    nothing = more"
        attempts.append({**record, "turn": turn, "attempt": attempt})
    lines = 0
    for record in corrected(attempts):
        lines += 1
        edits = [(n, message) for n, message in enumerate(record["messages"]) if called(message) == "edit"]
        (wrong, _), *rest = edits
        assert wrong in record["masked"] and not {n for n, _ in rest} & set(record["masked"])
        assert rest[0][1]["content"].startswith("That was not it")
        assert record["messages"][-1]["content"].endswith("All tests pass now.")
        assert record["messages"][-2]["content"].endswith("\nOK")
    assert lines > 3


def called(message: dict[str, Any]) -> str:
    """The tool that a message calls."""
    return message["tool_calls"][0]["function"]["name"] if message.get("tool_calls") else ""
