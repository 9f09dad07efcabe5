"""What the user decides becomes examples: in the context in which the model wrote, exactly, and no others."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.agent.prompt.prompt import SYSTEM_PROMPT
from app.model.messages import ToolCall
from app.paths import data_directory
from app.tuning.collecting import collect
from app.tuning.example_file import BadExamples, ExampleFile, strike, write_training_file
from app.tuning.regions import became
from tests.support.review.reviewed_work import ReviewedWork

TEXT = "".join(f"line {number}\n" for number in range(30))


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReviewedWork:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    root = tmp_path / "work"
    root.mkdir()
    (root / "a.txt").write_text(TEXT)
    return ReviewedWork(root)


def lines_of(work: ReviewedWork) -> list[dict[str, Any]]:
    collect(work.root)
    return [dict(example.line) for example in ExampleFile.of_workspace(work.root).read()]


def written(message: dict[str, Any]) -> list[dict[str, str]]:
    return [json.loads(call["function"]["arguments"]) for call in message["tool_calls"]]


def test_what_was_kept_is_to_be_written_again_in_its_context(work: ReviewedWork) -> None:
    work.review.keep(work.reply(("a.txt", "line 3\n", "three\n"), words="Make it three."))
    work.reply(("a.txt", "line 9\n", "nine\n"))  # undecided
    (line,) = lines_of(work)
    assert line["kind"] == "kept" and line["paths"] == ["a.txt"]
    roles = [message["role"] for message in line["prompt"]]
    assert roles == ["system", "user"] and line["prompt"][0]["content"] == SYSTEM_PROMPT
    assert "Make it three." in line["prompt"][1]["content"]
    (completion,) = line["completion"]
    assert completion["content"] == "Changing it."
    assert written(completion) == [{"file_path": "a.txt", "old_string": "line 3\n", "new_string": "three\n"}]
    assert {tool["function"]["name"] for tool in line["tools"]} >= {"edit", "write_file", "read_file"}


def test_what_was_edited_before_it_was_kept_is_a_correction_with_its_reason(work: ReviewedWork) -> None:
    hunks = work.reply(("a.txt", "line 3\n", "def f(cnt):\n    pass\n"))
    work.comment("a.txt", "No abbreviations.")
    work.write("a.txt", (work.root / "a.txt").read_text().replace("cnt", "count"))
    work.review.keep(work.pending() | hunks)
    corrected, reasoned = lines_of(work)
    assert corrected["kind"] == "corrected" and corrected["reason"] == "No abbreviations."
    assert written(corrected["chosen"][0])[0]["new_string"] == "def f(count):\n    pass\n"
    assert written(corrected["rejected"][0])[0]["new_string"] == "def f(cnt):\n    pass\n"
    assert reasoned["kind"] == "reasoned" and "No abbreviations." in reasoned["prompt"][-1]["content"]
    assert written(reasoned["completion"][0]) == [
        {
            "file_path": "a.txt",
            "old_string": "def f(cnt):\n    pass\n",
            "new_string": "def f(count):\n    pass\n",
        }
    ]


def test_lines_that_the_user_took_out_by_hand_are_part_of_the_correction(work: ReviewedWork) -> None:
    nested = "if a:\n    return 1\nelse:\n    return 2\n"
    hunks = work.reply(("a.txt", "line 3\n", nested))
    work.write("a.txt", TEXT.replace("line 3\n", "if a:\n    return 1\nreturn 2\n"))
    work.review.keep(hunks | work.pending())
    (line,) = lines_of(work)
    assert line["kind"] == "corrected"
    assert written(line["chosen"][0])[0]["new_string"] == "if a:\n    return 1\nreturn 2\n"


def test_a_change_kept_in_the_place_of_a_rejected_one_is_preferred(work: ReviewedWork) -> None:
    work.review.reject(work.reply(("a.txt", "line 3\n", "tmp\n")))
    work.review.keep(work.reply(("a.txt", "line 3\n", "temporary\n"), words="Call it by its name."))
    preferred, kept = lines_of(work)
    assert preferred["kind"] == "preferred" and kept["kind"] == "kept"
    assert "Call it by its name." not in json.dumps(preferred["prompt"])
    assert [written(preferred[side][0])[0]["new_string"] for side in ("chosen", "rejected")] == [
        "temporary\n",
        "tmp\n",
    ]


def test_one_rejected_call_of_a_reply_is_left_out_of_what_is_chosen(work: ReviewedWork) -> None:
    hunks = work.reply(("a.txt", "line 3\n", "three\n"), ("b.txt", "", "new\n"))
    rejected = work.review.hunk_ids("b.txt")
    work.review.reject(rejected)
    work.review.keep(hunks - rejected)
    (line,) = lines_of(work)
    assert line["kind"] == "corrected"
    assert [call["file_path"] for call in written(line["chosen"][0])] == ["a.txt"]
    assert [call["file_path"] for call in written(line["rejected"][0])] == ["a.txt", "b.txt"]


def test_what_was_only_rejected_or_not_decided_or_undone_gives_nothing(work: ReviewedWork) -> None:
    work.review.reject(work.reply(("a.txt", "line 3\n", "three\n")))
    work.review.keep(work.reply(("a.txt", "line 9\n", "nine\n")))
    assert len(lines_of(work)) == 1
    work.review.undo()
    work.reply(("a.txt", "line 20\n", "twenty\n"))
    # What was collected stays until it is decided otherwise; a new file has nothing of it.
    strikes = ExampleFile.of_workspace(work.root)
    (example,) = strikes.read()
    path = data_directory() / "tuning" / "examples"
    (file,) = path.glob("*/examples.jsonl")
    file.unlink()
    assert lines_of(work) == []
    assert example.line["kind"] == "kept"


def test_a_struck_example_stays_out_and_the_file_is_private(work: ReviewedWork, tmp_path: Path) -> None:
    work.review.keep(work.reply(("a.txt", "line 3\n", "three\n")))
    work.review.keep(work.reply(("a.txt", "line 9\n", "nine\n")))
    first, second = lines_of(work)
    strike([first["id"]])
    assert collect(work.root) == 0
    out = tmp_path / "training.jsonl"
    assert write_training_file(out) == 1
    assert json.loads(out.read_text())["id"] == second["id"]
    strike([first["id"]], struck=False)
    assert write_training_file(out) == 2
    with pytest.raises(BadExamples, match="nowhere"):
        strike(["nowhere"])
    for file in (data_directory() / "tuning").rglob("*.json*"):
        assert file.stat().st_mode & 0o077 == 0
        assert file.parent.stat().st_mode & 0o077 == 0


def call(old: str, new: str) -> ToolCall:
    return ToolCall("1", "edit", json.dumps({"file_path": "a", "old_string": old, "new_string": new}))


@pytest.mark.parametrize(
    ("final", "text"),
    [
        (TEXT.replace("line 3\n", "x\n"), "x\n"),
        (TEXT.replace("line 3\n", "better\n"), "better\n"),
        # Elsewhere another change came, and the place can still be told.
        (TEXT.replace("line 3\n", "x\ny\n").replace("line 20\n", "twenty\n"), "x\ny\n"),
        (TEXT, "line 3\n"),
        # The line before it changed as well: what belongs to which cannot be told.
        (TEXT.replace("line 2\nline 3\n", "both\n").replace("line 20\n", ""), None),
    ],
)
def test_what_a_call_has_become_is_told_or_not_guessed(final: str, text: str | None) -> None:
    found = became(call("line 3\n", "x\n"), TEXT, TEXT.replace("line 3\n", "x\n"), final)
    assert (None if found is None else found.text) == text
    assert found is None or found.is_gone == (text == "line 3\n")
