"""`tidegate acp` as an editor runs it: the SDK's own client, another process, a scripted server behind HTTP."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect
import pytest
from acp import PROTOCOL_VERSION, RequestError, spawn_agent_process, text_block
from acp.helpers import embedded_text_resource, resource_block, resource_link_block
from acp.schema import (
    AllowedOutcome,
    ClientCapabilities,
    DeniedOutcome,
    EnvVariable,
    FileSystemCapabilities,
    McpServerStdio,
    ReadTextFileResponse,
    RequestPermissionResponse,
    SseMcpServer,
)

from app.acp.prompt import as_text
from tests.support.agent.agent_bench import ended, nap
from tests.support.agent.scripted_server import Gate, HttpError, ScriptedServer, call, reply, until
from tests.support.patience import LONGEST
from tests.support.places import ROOT

EDIT = call("edit", file_path="a.py", old_string="two = 2", new_string="two = 22")
READ = call("read_file", file_path="a.py")

Serve = Callable[..., ScriptedServer]


@dataclass
class Editor:
    """An acp.Client that remembers. `answers` are option ids; None cancels, "never" keeps the agent waiting."""

    updates: list[Any] = field(default_factory=list)
    asked: list[tuple[Any, list[Any]]] = field(default_factory=list)
    answers: list[str | None] = field(default_factory=list)
    buffers: dict[str, str] = field(default_factory=dict)
    was_read: list[str] = field(default_factory=list)

    async def session_update(self, update: Any, **_: Any) -> None:
        self.updates.append(update)

    async def request_permission(
        self, tool_call: Any, options: list[Any], **_: Any
    ) -> RequestPermissionResponse:
        self.asked.append((tool_call, options))
        answer = self.answers.pop(0)
        if answer == "never":
            await asyncio.Event().wait()
        if answer is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=answer))

    async def read_text_file(self, path: str, **_: Any) -> ReadTextFileResponse:
        self.was_read.append(path)
        if path not in self.buffers:
            raise RequestError.resource_not_found(path)
        return ReadTextFileResponse(content=self.buffers[path])

    def on_connect(self, conn: Any) -> None: ...

    def said(self) -> str:
        """The agent's words."""
        return "".join(u.content.text for u in self.updates if u.session_update == "agent_message_chunk")

    def noticed(self) -> str:
        return "".join(u.content.text for u in self.updates if u.session_update == "agent_thought_chunk")

    def calls(self) -> list[Any]:
        """All that was told of calls, in order."""
        return [u for u in self.updates if u.session_update in ("tool_call", "tool_call_update")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("one = 1\ntwo = 2\n")
    return project


def command(model: str) -> list[str]:
    return ["-m", "app.cli", "acp", "--model", model]


@asynccontextmanager
async def connected(
    server: ScriptedServer | None, editor: Editor, *, reads: bool = False
) -> AsyncIterator[Any]:
    """The connection, after the greeting; without a server, what was named as the model is none."""
    model = server.url if server else "nobody/nothing"
    async with spawn_agent_process(editor, sys.executable, *command(model), env=dict(os.environ), cwd=ROOT) as (
        connection,
        process,
    ):
        files = FileSystemCapabilities(read_text_file=reads)
        greeting = await connection.initialize(
            PROTOCOL_VERSION, client_capabilities=ClientCapabilities(fs=files)
        )
        assert greeting.agent_capabilities.load_session
        setattr(connection, "process", process)  # noqa: B010 - what the tests ask the SDK's connection for
        yield connection


async def test_a_turn_with_an_edit_that_is_asked_about(scripted_server: Serve, project: Path) -> None:
    todo = call("todo_write", todos=[{"content": "Change two", "status": "in_progress"}])
    server = scripted_server(reply("I will look.", READ), reply(todo, EDIT), reply("Changed it."))
    editor = Editor(answers=["once"])
    async with connected(server, editor) as client:
        session = await client.new_session(cwd=str(project), mcp_servers=[])
        assert [mode.id for mode in session.modes.available_modes] == ["plan", "ask", "auto"]
        assert session.modes.current_mode_id == "ask"
        answer = await client.prompt(session_id=session.session_id, prompt=[text_block("Change two")])
        assert answer.stop_reason == "end_turn"
    assert (project / "a.py").read_text() == "one = 1\ntwo = 22\n"
    assert editor.said() == "I will look.Changed it."
    ((asked, options),) = editor.asked
    assert [option.kind for option in options] == ["allow_once", "allow_always", "reject_once"]
    assert "edit any file in the workspace" in options[1].name
    (preview,) = asked.content
    assert (preview.type, preview.old_text, preview.new_text) == (
        "diff",
        "one = 1\ntwo = 2\n",
        "one = 1\ntwo = 22\n",
    )
    read, edit = (
        [update for update in editor.calls() if update.tool_call_id == name]
        for name in dict.fromkeys(update.tool_call_id for update in editor.calls())
    )
    assert [update.status for update in read] == ["pending", "in_progress", "completed"]
    assert (read[1].title, read[1].kind, read[1].locations[0].path) == (
        "Read a.py",
        "read",
        str(project / "a.py"),
    )
    assert edit[0].tool_call_id == asked.tool_call_id and edit[0].kind == "edit"
    (diff,) = edit[-1].content
    assert (diff.path, diff.old_text, diff.new_text) == (
        str(project / "a.py"),
        "one = 1\ntwo = 2\n",
        "one = 1\ntwo = 22\n",
    )
    usage = [update for update in editor.updates if update.session_update == "usage_update"]
    assert len(usage) == 3 and {update.size for update in usage} == {server.context_length}
    (plan,) = [update for update in editor.updates if update.session_update == "plan"]
    assert [(entry.content, entry.status) for entry in plan.entries] == [("Change two", "in_progress")]


async def test_declined_always_and_cancelled_questions(scripted_server: Serve, project: Path) -> None:
    again = call("edit", file_path="a.py", old_string="two = 22", new_string="two = 222")
    server = scripted_server(
        reply(READ),
        reply(EDIT),
        reply("No?"),
        reply(EDIT),
        reply(again),
        reply("Yes."),
        reply(call("run_shell_command", command="git push --force")),
        reply("So not."),
    )
    editor = Editor(answers=["deny", "always", None])
    async with connected(server, editor) as client:
        session = (await client.new_session(cwd=str(project))).session_id
        await client.prompt(session_id=session, prompt=[text_block("Change two")])
        assert (project / "a.py").read_text() == "one = 1\ntwo = 2\n"
        assert "declined" in server.requests[2]["messages"][-1]["content"]
        assert editor.calls()[-1].status == "failed"
        await client.prompt(session_id=session, prompt=[text_block("Do")])
        assert (project / "a.py").read_text() == "one = 1\ntwo = 222\n" and len(editor.asked) == 2
        await client.prompt(session_id=session, prompt=[text_block("Push")])
        asked, options = editor.asked[-1]
        assert "publishes commits" in asked.title and [option.kind for option in options] == [
            "allow_once",
            "reject_once",
        ]


async def test_modes_and_cancel_in_mid_reply(scripted_server: Serve, project: Path) -> None:
    gate = Gate()
    server = scripted_server(
        reply(EDIT), reply("A plan."), reply("half a word", gate), reply("And on."), reply(EDIT)
    )
    editor = Editor(answers=["never"])
    async with connected(server, editor) as client:
        session = (await client.new_session(cwd=str(project))).session_id
        await client.set_session_mode(session_id=session, mode_id="plan")
        await client.prompt(session_id=session, prompt=[text_block("Change two")])
        assert "plan mode" in server.requests[1]["messages"][-1]["content"]
        turn = asyncio.create_task(client.prompt(session_id=session, prompt=[text_block("Think")]))
        await gate.wait_reached(60)
        await until(lambda: "half a word" in editor.said())
        with pytest.raises(RequestError, match="a turn is running"):
            await client.prompt(session_id=session, prompt=[text_block("Me too")])
        await client.cancel(session_id=session)
        assert (await turn).stop_reason == "cancelled"
        await server.wait_for(lambda s: s.disconnects == 1)
        assert (await client.prompt(session_id=session, prompt=[text_block("On")])).stop_reason == "end_turn"
        await client.set_session_mode(session_id=session, mode_id="ask")
        turn = asyncio.create_task(client.prompt(session_id=session, prompt=[text_block("Change two")]))
        await until(lambda: editor.asked)
        await client.cancel(session_id=session)
        assert (await turn).stop_reason == "cancelled"
        assert editor.calls()[-1].status == "failed", "no call is left open"


async def test_a_session_is_listed_and_loaded_with_its_story(scripted_server: Serve, project: Path) -> None:
    cut_off = reply("Two lines.", reason="length")
    server = scripted_server(reply("Let me see.", READ), cut_off, reply("As I said."))
    first = Editor()
    async with connected(server, first) as client:
        session = (await client.new_session(cwd=str(project))).session_id
        await client.prompt(session_id=session, prompt=[text_block("How long is a.py?")])
    editor = Editor()
    async with connected(server, editor) as client:
        (found,) = (await client.list_sessions(cwd=str(project))).sessions
        assert (found.session_id, found.title) == (session, "How long is a.py?")
        loaded = await client.load_session(cwd=str(project), session_id=session, mcp_servers=[])
        assert loaded.modes.current_mode_id == "ask"
        told = [update.session_update for update in editor.updates]
        assert told[:4] == ["user_message_chunk", "agent_message_chunk", "tool_call", "tool_call_update"]
        assert editor.said() == first.said() and "Two lines.\n\nThe reply was cut off" in editor.said()
        await client.prompt(session_id=session, prompt=[text_block("Sure?")])
        assert "Two lines." in json.dumps(server.requests[-1]["messages"])


async def test_what_is_wrong_is_one_sentence(scripted_server: Serve, project: Path) -> None:
    server = scripted_server(HttpError(400, "too many tokens"))
    async with connected(server, Editor()) as client:
        for wrong, sentence in (
            (client.new_session(cwd="not/absolute"), "give the absolute path"),
            (client.new_session(cwd=str(project / "nowhere")), "is no directory"),
            (
                client.new_session(
                    cwd=str(project),
                    mcp_servers=[SseMcpServer(type="sse", name="old", url="http://127.0.0.1:9/", headers=[])],
                ),
                "neither a command",
            ),
            (client.load_session(cwd=str(project), session_id="none"), "there is no session none"),
            (client.prompt(session_id="none", prompt=[text_block("Hm")]), "there is no open session none"),
            (client.set_session_mode(session_id="none", mode_id="ask"), "there is no open session none"),
        ):
            with pytest.raises(RequestError) as raised:
                await wrong
            assert sentence in str(raised.value) and "\n" not in str(raised.value)
            assert raised.value.data == {"details": str(raised.value)}, "some clients show nothing else"
        session = (await client.new_session(cwd=str(project))).session_id
        with pytest.raises(RequestError, match="there is no mode yolo"):
            await client.set_session_mode(session_id=session, mode_id="yolo")
        with pytest.raises(RequestError, match="the prompt is empty"):
            await client.prompt(session_id=session, prompt=[text_block("  ")])
        with pytest.raises(RequestError, match="too many tokens"):
            await client.prompt(session_id=session, prompt=[text_block("Long")])


async def test_that_there_is_no_model_is_told_when_a_session_begins(project: Path) -> None:
    async with connected(None, Editor()) as client:
        with pytest.raises(RequestError, match="model fetch nobody/nothing"):
            await client.new_session(cwd=str(project))


async def test_unsaved_text_is_read_and_never_written_over(scripted_server: Serve, project: Path) -> None:
    path = str(project / "a.py")
    edit = call("edit", file_path="a.py", old_string="three = 3", new_string="three = 33")
    server = scripted_server(
        reply(READ), reply(edit), reply("Save it, please."), reply(READ), reply(edit), reply("Done.")
    )
    editor = Editor(buffers={path: "one = 1\ntwo = 2\nthree = 3\n"}, answers=["once", "once"])
    async with connected(server, editor, reads=True) as client:
        session = (await client.new_session(cwd=str(project))).session_id
        await client.set_session_mode(session_id=session, mode_id="auto")
        await client.prompt(session_id=session, prompt=[text_block("Change three")])
        told = [message["content"] for message in server.requests[2]["messages"] if message["role"] == "tool"]
        assert told[0] == "one = 1\ntwo = 2\nthree = 3"
        assert "unsaved changes in the user's editor" in told[1]
        assert (project / "a.py").read_text() == "one = 1\ntwo = 2\n"
        (project / "a.py").write_text(editor.buffers[path])
        await client.prompt(session_id=session, prompt=[text_block("Saved")])
    assert (project / "a.py").read_text() == "one = 1\ntwo = 2\nthree = 33\n" and path in editor.was_read


async def test_files_and_text_that_the_editor_sends_along(scripted_server: Serve, project: Path) -> None:
    server = scripted_server(reply("Seen."))
    async with connected(server, Editor()) as client:
        session = (await client.new_session(cwd=str(project))).session_id
        link = resource_link_block("a.py", (project / "a.py").as_uri())
        inner = embedded_text_resource("file:///elsewhere/b.py", "three = 3")
        await client.prompt(
            session_id=session,
            prompt=[text_block("Compare "), link, text_block(" and "), resource_block(inner)],
        )
    sent = server.requests[0]["messages"][-1]["content"]
    assert "Compare @a.py and /elsewhere/b.py" in sent
    assert "The user mentions a.py:\none = 1" in sent and "/elsewhere/b.py:\nthree = 3" in sent


def test_a_file_that_is_mentioned_and_sent_along_goes_once(tmp_path: Path) -> None:
    sent = resource_block(embedded_text_resource((tmp_path / "a.py").as_uri(), "one = 1"))
    assert as_text([text_block("Read @a.py, please."), sent], tmp_path) == "Read @a.py, please."
    assert as_text([text_block("Read @a.pyc and "), sent], tmp_path) == "Read @a.pyc and a.py\n\na.py:\none = 1"
    broken = resource_link_block("broken", "file://[")
    assert as_text([text_block("See "), broken], tmp_path) == "See file://["


async def test_a_server_of_the_editors_and_a_sub_task(scripted_server: Serve, project: Path) -> None:
    server = scripted_server(
        reply(call("our_time__get_current_time", timezone="Etc/UTC"), call("task", prompt="Read a.py")),
        reply(READ),
        reply("Two lines."),
        reply("Done."),
    )
    editor = Editor(answers=["once"])
    clock = McpServerStdio(
        name="our time",
        command=sys.executable,
        args=["-m", "mcp_server_time"],
        env=[EnvVariable(name="A", value="b")],
    )
    async with connected(server, editor) as client:
        session = (await client.new_session(cwd=str(project), mcp_servers=[clock])).session_id
        await client.prompt(session_id=session, prompt=[text_block("What time is it?")])
    assert "our_time 2; about" in editor.noticed()
    assert any('"timezone": "Etc/UTC"' in message["content"] for message in server.requests[3]["messages"])
    done = editor.calls()[-1]
    assert done.status == "completed" and done.content[0].content.text == "· Read a.py\n\nTwo lines."


async def test_when_the_editor_is_gone_everything_ends(scripted_server: Serve, project: Path) -> None:
    gate, sleep = Gate(), nap()
    job = call("run_shell_command", command=f"{sleep} & echo up > job; wait", is_background=True)
    server = scripted_server(reply(job), reply("half", gate))
    editor = Editor(answers=["once"])
    async with connected(server, editor) as client:
        session = (await client.new_session(cwd=str(project))).session_id
        turn = asyncio.create_task(client.prompt(session_id=session, prompt=[text_block("Sleep")]))
        await gate.wait_reached(60)
        await until(lambda: (project / "job").exists() and (project / "job").read_text().strip())
        client.process.stdin.close()
        assert await asyncio.wait_for(client.process.wait(), LONGEST) == 0
        await server.wait_for(lambda s: s.disconnects == 1)
        await ended(sleep)
        turn.cancel()
        await asyncio.wait([turn])


def test_nothing_but_the_protocol_is_on_standard_output(scripted_server: Serve, project: Path) -> None:
    server = scripted_server(reply("Hello."))
    process = subprocess.Popen(
        [sys.executable, *command(server.url)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None

    def ask(number: int, method: str, **params: Any) -> list[dict[str, Any]]:
        """Everything up to the answer."""
        assert process.stdin is not None and process.stdout is not None
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        said = []
        while not said or said[-1].get("id") != number:
            said.append(json.loads(process.stdout.readline()))
        return said

    ask(0, "initialize", protocolVersion=1)
    process.stdin.write(b"this is no JSON\n[]\n 7\n\n{no JSON}\n")
    assert ask(1, "no/such/method")[-1]["error"]["code"] == -32601
    assert ask(2, "session/new", cwd=7)[-1]["error"]["code"] == -32602
    session = ask(3, "session/new", cwd=str(project), mcpServers=[])[-1]["result"]["sessionId"]
    told = ask(4, "session/prompt", sessionId=session, prompt=[{"type": "text", "text": "Hi"}])
    assert told[-1]["result"] == {"stopReason": "end_turn"}
    assert all(message["jsonrpc"] == "2.0" for message in told)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LONGEST) == 143
    rest, complaints = process.communicate()
    assert rest == b"" and complaints.count(b"\n") == 4 and b"Error parsing JSON-RPC message" in complaints
    assert complaints.count(b"A line that is no JSON object is passed over") == 3
    assert b"AssertionError" not in complaints


def test_without_an_editor_it_says_what_it_is_for() -> None:
    child = pexpect.spawn(
        sys.executable, ["-m", "app.cli", "acp", "--model", "http://127.0.0.1:9/v1"], cwd=str(ROOT)
    )
    child.expect("tidegate acp is spoken to by editors", timeout=LONGEST)
    child.wait()
    assert child.exitstatus == 2
    line = [sys.executable, *command("http://127.0.0.1:9/v1")]
    said = subprocess.run(line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert said.returncode == 2 and b"over pipes" in said.stderr
