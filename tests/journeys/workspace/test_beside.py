"""Another program writes a file that is being edited, and an agent works in a worktree beside the user,
whose hunk is brought over: nothing of either is lost."""

import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.agent.scripted_server import ScriptedServer, call, reply
from tests.support.review.real_project import git
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
READY = "Ask, or say what to change"
Servers = Callable[..., ScriptedServer]


def test_a_file_that_somebody_writes_while_it_is_edited(tmp_path: Path, scripted_server: Servers) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"one\r\ntwo\r\nthree\r\nfour\r\n")
    theirs = b"one\r\ntwo\r\nthree\r\nfour of theirs\r\n"
    with Terminal([TIDEGATE, file, "--model", scripted_server().url], tmp_path) as terminal:
        terminal.wait_for(lambda text: "four" in text and READY in text)
        terminal.wait_for("e edit")
        terminal.press("e").wait_for("writing")
        terminal.type("mine ").wait_for("mine one")
        file.write_bytes(theirs)
        # Both are seen before anything is written, and leaving the question writes nothing.
        terminal.press("ctrl+s").wait_for(lambda text: "four of theirs" in text and "+ mine one" in text)
        terminal.wait_for("put both together")
        terminal.press("escape").wait_for(lambda text: "put both" not in text and "mine one" in text)
        assert file.read_bytes() == theirs
        terminal.press("ctrl+s").wait_for("put both together")
        terminal.press("b").wait_for(lambda text: "mine one" in text and "four of theirs" in text)
        terminal.wait_for(lambda text: "put both" not in text and "writing" in text)
        assert file.read_bytes() == theirs
        terminal.press("ctrl+s").wait_for("Saved notes.txt")
        assert file.read_bytes() == b"mine " + theirs
        assert terminal.leave() == 0


def test_an_agent_in_a_worktree_whose_hunk_is_brought_over(
    tmp_path: Path, scripted_server: Servers, home: Path
) -> None:
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text('mode = "auto"\n')
    (root := tmp_path / "sums").mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "code.py").write_text("answer = 41\n")
    git(root, "add", "-A")
    git(root, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "one")
    server = scripted_server(
        reply(call("read_file", file_path="code.py")),
        reply(call("edit", file_path="code.py", old_string="41", new_string="42")),
        reply("It is mended."),
    )
    with Terminal([TIDEGATE, root, "--model", server.url], root) as terminal:
        terminal.wait_for(READY)
        terminal.press("ctrl+]").wait_for("What shall it do?")
        terminal.type("Mend it").wait_for("Mend it")
        terminal.press("enter").wait_for(lambda text: "It is mended." in text and "working" not in text)
        assert (root / "code.py").read_text() == "answer = 41\n"
        assert git(root, "worktree", "list").count("\n") == 2
        terminal.press("ctrl+]").wait_for("1 hunk to bring over")
        terminal.press("b").wait_for(lambda text: "a bring over" in text and "answer = 42" in text)
        terminal.press("a").wait_for("Nothing to review in the agent mend-it")
        assert (root / "code.py").read_text() == "answer = 42\n"
        terminal.press("ctrl+]").wait_for(lambda text: "mend-it" in text and "your own workspace" in text)
        terminal.press("d").wait_for("mend-it is removed")
        assert git(root, "worktree", "list").count("\n") == 1
        assert (root / "code.py").read_text() == "answer = 42\n"
        assert terminal.leave() == 0
    assert server.overruns == 0
