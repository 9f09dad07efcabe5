"""What the agent asks is said in words, and a change of a file is one that can be drawn as in the review."""

from app.agent.port import PermissionRequest
from app.ui.widgets.agent.question import question_of

DIFF = "@@ -1,2 +1,2 @@\n one\n-two\n+2"


def asked(name: str, summary: str, *, is_users: bool = False, **arguments: str) -> tuple[str, str]:
    question = question_of(PermissionRequest("1", name, arguments, summary, "why", is_users=is_users))
    assert question.change is None
    return question.words, question.body


def test_a_call_is_asked_about_in_words() -> None:
    command = ("The agent wants to run a command", "$ make\nall")
    assert asked("run_shell_command", "$ make\nall", command="make\nall") == command
    own = asked("run_shell_command", "$ make", is_users=True, command="make")
    assert own[0] == "Your command asks for more"
    assert (
        asked("read_file", "Read /etc/hosts", file_path="/etc/hosts")[0] == "The agent wants to read /etc/hosts"
    )
    tool = "The agent wants to use now of the MCP server clock"
    assert asked("clock__now", "clock__now {}") == (tool, "clock__now {}")


def test_an_edit_is_a_change_of_its_file_whatever_that_is_called() -> None:
    for path in ("app/x.py", "a b\tc.txt", "--- a/x"):
        given = {"file_path": path}
        question = question_of(PermissionRequest("1", "edit", given, f"Edit {path}\n{DIFF}", "why"))
        assert question.words == f"The agent wants to edit {path}"
        change = question.change
        assert change is not None and (change.path, change.kind, change.added) == (path, "modified", 1)
    new = PermissionRequest("1", "write_file", {"file_path": "n.py"}, "Write n.py\n@@ -0,0 +1 @@\n+x", "why")
    question = question_of(new)
    assert question.words == "The agent wants to create n.py"
    assert question.change is not None and question.change.kind == "created"


def test_a_diff_that_cannot_be_read_is_shown_as_text() -> None:
    broken = "@@ -1,9 +1,9 @@\n one"
    assert asked("edit", f"Edit a\n{broken}", file_path="a") == ("The agent wants to edit a", broken)
