"""Everything that can be written into the message field, with the real agent behind a real terminal."""

import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.agent.scripted_server import Gate, ScriptedServer, call, reply
from tests.support.review.real_project import git
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
READY = "Ask, or say what to change"
Servers = Callable[..., ScriptedServer]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project under git, with a command and a skill of its user's own."""
    root = tmp_path / "project"
    files = {
        "src/plain.py": "".join(f"line_{number} = {number}\n" for number in range(1, 51)),
        "src/other.py": "x = 1\n",
        "notes.md": "# Notes\n",
        ".tidegate/commands/tidy.md": "---\ndescription: Tidy one file up\n---\nTidy $1 up, nothing else.\n",
        ".tidegate/skills/release/SKILL.md": "---\ndescription: How a release is made\n---\nTag it.\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "-q", "-b", "trunk")
    git(root, "add", "-A")
    git(root, "-c", "user.name=U", "-c", "user.email=u@example.org", "commit", "-qm", "Begin")
    return root


def words(message: dict[str, Any]) -> str:
    """What the user wrote in a message that went to the model."""
    return str(message["content"]).rpartition("</context>")[2].strip()


def context(message: dict[str, Any]) -> str:
    """What went to the model along with it."""
    return str(message["content"]).rpartition("</context>")[0]


def last(server: ScriptedServer) -> dict[str, Any]:
    """The last message of the last request."""
    return dict(server.requests[-1]["messages"][-1])


def flat(terminal: Terminal) -> str:
    """What the screen shows, without the breaks of its lines: for a screen that is one pane wide."""
    return " ".join(terminal.text.translate({ord(mark): " " for mark in "│▌"}).split())


def test_mentions_commands_skills_and_the_shell(project: Path, scripted_server: Servers) -> None:
    server = scripted_server(*[reply(f"Answer {number}.") for number in range(1, 6)])
    with Terminal([TIDEGATE, project, "--model", server.url], project, columns=90, rows=40) as terminal:
        terminal.wait_for(READY)
        # A few letters of a name, and behind the completion the lines.
        terminal.type("Explain @pln")
        terminal.wait_for(lambda text: "▸ src/plain.py" in text)
        terminal.press("tab").wait_for("Explain @src/plain.py")
        terminal.type(":10-12 and @sr")
        terminal.wait_for(lambda text: "▸ src/" in text)
        terminal.press("tab").type(" please").press("enter")
        terminal.wait_for("Answer 1.")
        assert words(last(server)) == "Explain @src/plain.py:10-12 and @src/ please"
        told = context(last(server))
        assert "line_10 = 10" in told and "line_12 = 12" in told and "line_13" not in told
        assert "other.py" in told

        terminal.type("/tidy").wait_for("Tidy one file up")
        terminal.type(" notes.md").press("enter").wait_for("Answer 2.")
        assert words(last(server)) == "Tidy notes.md up, nothing else."
        terminal.type("/release now").press("enter").wait_for("Answer 3.")
        assert "Use the skill release" in words(last(server)) and words(last(server)).endswith("Tag it.\n\nnow")

        terminal.type("!echo out-$((6 * 7)); exit 3").press("enter")
        terminal.wait_for(lambda text: "✗ $ echo out-" in text or "✗ echo out-" in text)
        terminal.type("What was that?").press("enter").wait_for("Answer 4.")
        assert "out-42" in context(last(server)) and words(last(server)) == "What was that?"

        # Earlier messages come back by key, several lines are written with a key of their own.
        terminal.press("up").wait_for(lambda text: text.count("What was that?") == 2)
        terminal.press("down").type("one").press("ctrl+j").type("two").press("enter").wait_for("Answer 5.")
        assert words(last(server)) == "one\ntwo"
        # While it works, quitting asks.
        terminal.wait_for(lambda text: "working" not in text)
        assert terminal.leave() == 0


def test_every_command_behind_a_slash(project: Path, scripted_server: Servers) -> None:
    server = scripted_server(*[reply(f"Answer {number}.") for number in range(1, 4)])
    with Terminal([TIDEGATE, project, "--model", server.url], project, columns=90, rows=45) as terminal:

        def say(text: str, *answers: str) -> None:
            terminal.type(text).press("enter")
            terminal.wait_for(lambda _: all(answer in flat(terminal) for answer in answers))

        terminal.wait_for(READY)
        say("/help", "/resume [WORDS]: Go on with an earlier session", "/tidy: Tidy one file up", "!command")
        say("/nonsense", "There is no command /nonsense. /help lists them.")
        say("/rename", "Write the title behind it: /rename TITLE")
        say("/mode sideways", "There is no mode 'sideways'; there are plan, ask and auto.")
        say("/mode plan", "plan: it reads and changes nothing")
        say("/compact", "There is nothing to leave out yet.")
        say("/context", "System prompt and tools", "Together, of 32,768 tokens")
        say("Remember the word aubergine.", "Answer 1.")
        say("/rename Vegetables", "This session is called “Vegetables” now.")
        say("/export out/of/reach.md", "cannot be written")
        say("/export said.md", "Written to")
        assert "# Vegetables" in (project / "said.md").read_text()
        say("/export said.md", "exists already")
        say("/fork", "This is a copy; the session it was made from stays as it was.")
        say("And the word basil.", "Answer 2.")
        say("/compact", "The model now has a summary of all but the last turn.")
        say("/clear")
        terminal.wait_for(lambda text: "Answer 2." not in text)
        say("/resume aubergine", "Vegetables (fork)", "Vegetables", "Enter goes on")
        terminal.press("down", "enter")
        terminal.wait_for(
            lambda text: "Answer 1." in text and "Answer 2." not in text and "Sessions" not in text
        )
        say("/init", "Answer 3.")
        assert "AGENTS.md" in words(last(server)) and "aubergine" in str(server.requests[-1]["messages"])
        assert "basil" not in str(server.requests[-1]["messages"])

        say("/rewind", "before Remember the word aubergine.", "Enter files and conversation")
        terminal.press("escape").wait_for(lambda text: "Enter files and conversation" not in text)
        say("/model", "Esc goes back")
        terminal.press("escape").wait_for(lambda text: "Connect to a server" not in text)
        say("/diff", "Nothing to review")
        terminal.press("f5").wait_for(lambda text: "Answer 3." in text and "Enter send" in text)
        say("/commit", "Nothing")
        terminal.press("f5").wait_for(lambda text: "Answer 3." in text and "Enter send" in text)
        say("/new")
        terminal.wait_for(lambda text: "Answer" not in text)
        assert terminal.leave() == 0
    assert server.overruns == 0


def test_what_waits_is_sent_next_told_now_or_given_back(project: Path, scripted_server: Servers) -> None:
    gates = [Gate(), Gate(), Gate()]
    server = scripted_server(
        reply("First half,", gates[0], " second half.", call("list_directory", path=".")),
        reply("Steered."),
        reply("Queued."),
        reply("Never ", gates[1], "ends"),
        reply("Gone on."),
    )
    with Terminal([TIDEGATE, project, "--model", server.url], project, columns=90, rows=40) as terminal:
        terminal.wait_for(READY)
        terminal.type("Begin").press("enter").wait_for("First half,")
        terminal.type("use the other file").press("enter").wait_for("queued use the other file")
        terminal.press("enter").wait_for("next use the other file")
        terminal.type("and then this").press("enter").wait_for("queued and then this")
        gates[0].open()
        terminal.wait_for("Queued.")
        said = [words(message) for message in server.requests[2]["messages"] if message["role"] == "user"]
        assert said == ["Begin", "use the other file", "and then this"]
        assert words(server.requests[1]["messages"][-1]) == "use the other file"

        terminal.type("Go").press("enter").wait_for("Never")
        terminal.type("waiting").press("enter").wait_for("queued waiting")
        terminal.press("escape").wait_for("Stopped; what was said and done is kept.")
        # What waited is back in the field, to be changed.
        terminal.type("!").press("enter").wait_for("Gone on.")
        assert words(last(server)) == "waiting!"
        assert terminal.leave() == 0


def test_a_megabyte_is_pasted_folded_and_refused_with_nothing_lost(
    project: Path, scripted_server: Servers
) -> None:
    server = scripted_server(reply("Read."), reply("Short."))
    long = "".join(f"{number:>9} some words of a log that somebody has copied\n" for number in range(19_000))
    fits = long[: 60 * 800]
    assert len(long) > 1_000_000
    with Terminal([TIDEGATE, project, "--model", server.url], project, columns=90, rows=40) as terminal:
        terminal.wait_for("● scripted")  # what fits into its context is known by then
        terminal.type("Look: ").paste(long).type("and say.")
        terminal.wait_for(f"Look: [pasted {len(long):,} characters]and say.")
        terminal.press("enter")
        terminal.wait_for(lambda _: "Nothing was sent; it stands below again." in flat(terminal))
        assert "The message has about" in flat(terminal) and not server.requests
        terminal.wait_for("characters]")
        # As a whole it can be taken away again, and half of it never is.
        terminal.press("\x7f").wait_for(lambda text: "characters]" not in text)
        terminal.paste(fits).press("enter").wait_for("Read.")
        assert words(last(server)) == fits.strip()
        terminal.wait_for("more lines")
        terminal.type("Short?").press("enter").wait_for("Short.")
        assert terminal.leave() == 0


EDITOR = """#!/bin/sh
printf '%s ' "$@" >> {log}
for file; do :; done
{does}
"""


def test_the_message_is_written_in_an_editor(project: Path, scripted_server: Servers, tmp_path: Path) -> None:
    server = scripted_server(reply("Fine."))
    log = tmp_path / "arguments"
    tools = tmp_path / "tools"
    tools.mkdir()
    editor, code = tools / "scribe", tools / "code"

    def becomes(file: Path, does: str) -> None:
        log.write_text("")
        file.write_text(EDITOR.format(log=log, does=does))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    becomes(editor, f'cat "$file" > {tmp_path}/before; printf "from the\\neditor\\n" > "$file"')
    path = f"{tools}:/usr/bin:/bin"
    environment = {"EDITOR": "scribe", "VISUAL": "", "PATH": path}
    line = [TIDEGATE, project, "--model", server.url]
    with Terminal(line, project, columns=90, rows=40, environment=environment) as terminal:
        terminal.wait_for(READY)
        terminal.type("half").press("ctrl+g")
        terminal.wait_for(lambda text: "from the" in text and "editor" in text)
        assert (tmp_path / "before").read_text() == "half\n"
        assert log.read_text().split()[0] == "+1"
        # Ctrl+C in the editor is the editor's.
        caught = tmp_path / "caught"
        becomes(
            editor,
            f'trap "echo > {caught}.too" INT; : > {caught}; '
            f'until test -e {caught}.too; do sleep 0.05; done; printf "from the\neditor that" > "$file"',
        )
        terminal.press("ctrl+g").wait_for(lambda _: caught.exists())
        terminal.press("ctrl+c").wait_for("editor that")
        becomes(editor, "printf other > $file; exit 3")
        terminal.press("ctrl+g").wait_for(lambda _: "ended with status 3" in flat(terminal))
        editor.unlink()
        terminal.press("ctrl+g").wait_for(lambda _: "cannot be started" in flat(terminal))
        terminal.type(" was here").press("enter").wait_for("Fine.")
        assert words(last(server)) == "from the\neditor that was here"
        becomes(editor, ": > $file")
        terminal.type("to be dropped").press("ctrl+g").wait_for(READY)
        assert terminal.leave() == 0

    # One that has a window of its own is waited for.
    becomes(code, 'file="${file%:*}"; printf "by mouse" > "$file"')
    for named, said in (("code", "by mouse"), ("'", "is no command")):
        environment = {"VISUAL": named, "PATH": path}
        with Terminal(line, project, columns=90, rows=40, environment=environment) as terminal:
            terminal.wait_for(READY)
            terminal.press("ctrl+g").wait_for(lambda _, said=said: said in flat(terminal))
            assert terminal.leave() == 0
    assert log.read_text().startswith("--wait --goto ") and log.read_text().rstrip().endswith(":1")


@pytest.mark.slow
def test_the_screen_opens_where_it_was_left(project: Path, scripted_server: Servers) -> None:
    server = scripted_server(reply("Forty-two."), reply("Forty-eight."))
    line = [TIDEGATE, project, "--model", server.url]
    with Terminal([*line, "--continue"], project) as terminal:
        assert terminal.wait_closed() == 2 and "no earlier session" in terminal.text
    with Terminal(line, project) as terminal:
        terminal.wait_for(READY)
        terminal.type("Six by seven?").press("enter").wait_for("Forty-two.")
        assert terminal.leave() == 0
    with Terminal([*line, "--resume", "nothing"], project) as terminal:
        assert terminal.wait_closed() == 2 and "there is no session nothing" in terminal.text
    with Terminal([*line, "--continue"], project) as terminal:
        terminal.wait_for("Forty-two.")
        with Terminal([*line, "--continue"], project) as second:
            second.wait_for("open in another window")
            assert second.leave() == 0
        terminal.type("And eight?").press("enter").wait_for("Forty-eight.")
        assert terminal.leave() == 0
    assert [words(message) for message in server.requests[1]["messages"][1:]] == [
        "Six by seven?",
        "Forty-two.",
        "And eight?",
    ]
