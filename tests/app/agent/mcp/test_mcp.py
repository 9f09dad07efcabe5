"""Tools of MCP servers: the official reference servers and one of ours, in real processes, used in sessions."""

import asyncio
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
from git import Repo
from llguidance import LLMatcher

from app.agent.agent import Agent
from app.agent.events import AgentEvent, Noticed, ToolStarted
from app.agent.mcp.servers import Servers, described
from app.agent.mcp.tool import called
from app.agent.permission.permissions import Permissions
from app.agent.port import PermissionAnswer
from app.agent.session.session import new_journal, open_journal
from app.agent.tools.base import Access
from app.commands.doctor import examine
from app.model.wire.client import Address, ChatClient
from app.settings.mcp import McpServer
from app.settings.settings import BadSettings, Mode, Rule, load_settings, settings_file
from app.workspace.workspace import Workspace
from mlx_model.chat.tools.grammar import tool_call_grammar
from tests.support.agent.agent_bench import Asker, Recorder, end_of, gone
from tests.support.agent.scripted_server import ScriptedServer, call, reply, until
from tests.support.places import PROGRAMS, ROOT


def ours(name: str = "ours", *arguments: str, **settings: Any) -> McpServer:
    """Our own server, which does what the reference servers do not."""
    script = str(PROGRAMS / "servers" / "mcp_server.py")
    return McpServer(name, command=sys.executable, args=(script, *arguments), **settings)


def reference(name: str) -> McpServer:
    """An official reference server from PyPI."""
    module = f"mcp_server_{name}"
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module.replace('_', '-')} IS NOT INSTALLED: install the dev extra")
    return McpServer(name, command=sys.executable, args=("-m", module))


class Session:
    """An agent with MCP servers."""

    def __init__(self, root: Path, server: ScriptedServer, agent: Agent, asker: Asker) -> None:
        self.root, self.server, self.agent, self.asker = root, server, agent, asker

    async def run(self, text: str = "Do it.") -> list[AgentEvent]:
        async with aclosing(self.agent.run_turn(text)) as turn:
            return [event async for event in turn]

    def results(self) -> list[str]:
        """What the model was told of its calls, as the latest request has it."""
        return [
            message["content"] for message in self.server.requests[-1]["messages"] if message["role"] == "tool"
        ]

    def offered(self, request: int = -1) -> list[str]:
        """The tools in a request."""
        return [tool["function"]["name"] for tool in self.server.requests[request]["tools"]]


Open = Callable[..., Awaitable[Session]]


@pytest.fixture
async def begin(tmp_path: Path, scripted_server: Any) -> AsyncIterator[Open]:
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.py").write_text("one = 1\n")
    async with AsyncExitStack() as stack:

        async def make(
            script: tuple[Any, ...],
            *servers: McpServer,
            mode: Mode = "auto",
            rules: tuple[Rule, ...] = (),
            resume: str | None = None,
            answers: tuple[PermissionAnswer, ...] = (),
            is_offline: bool = False,
        ) -> Session:
            server = scripted_server(*script)
            asker = Asker(list(answers))
            agent = Agent(
                Workspace(root),
                ChatClient(Address(server.url)),
                Recorder(root),
                asker,
                new_journal(root) if resume is None else open_journal(root, resume),
                mode=mode,
                rules=rules,
                servers=Servers(servers, root, is_offline=is_offline),
            )
            stack.push_async_callback(agent.aclose)
            return Session(root, server, agent, asker)

        yield make


def notices(events: list[AgentEvent]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Noticed))


async def test_reference_servers_answer_and_the_list_of_tools_never_changes(begin: Open) -> None:
    session = await begin(
        (
            reply(call("time__get_current_time", timezone="Etc/UTC")),
            reply(call("git__git_status", repo_path=".")),
            reply("Done."),
            reply("Again."),
        ),
        reference("time"),
        reference("git"),
    )
    Repo.init(session.root, initial_branch="trunk")
    events = await session.run()
    assert end_of(events).reason == "done"
    told = session.results()
    assert '"timezone": "Etc/UTC"' in told[0] and "trunk" in told[1] and "a.py" in told[1]
    starts = [event.summary for event in events if isinstance(event, ToolStarted)]
    assert starts[0] == 'time: get_current_time(timezone="Etc/UTC")'
    await session.run("More.")
    heads = {json.dumps([request["messages"][0], request["tools"]]) for request in session.server.requests}
    assert len(heads) == 1
    assert session.offered()[:2] == ["read_file", "edit"] and "git__git_log" in session.offered()
    assert "time 2, git 12; about " in notices(events)
    # The engine holds calls to these schemas: all of them make a grammar.
    schemas = {
        tool["function"]["name"]: tool["function"]["parameters"] for tool in session.server.requests[0]["tools"]
    }
    grammar = tool_call_grammar(schemas, 7)
    assert grammar is not None and LLMatcher.validate_grammar(grammar.text) == ""
    parts = dict(session.agent.context_use().parts)
    assert 500 < parts["Tools of MCP servers"] < 4_000


async def test_only_the_wanted_tools_cost_room(begin: Open) -> None:
    session = await begin((reply("Hm."),), ours(tools=("add", "l*")))
    await session.run()
    assert [name for name in session.offered() if "__" in name] == ["ours__add", "ours__look", "ours__long"]


ALL = ("add", "look", "wipe")


def verdicts(root: Path, mode: Mode, *rules: Rule) -> list[str]:
    """What becomes of a tool without hints, of one that reads, and of one that destroys."""
    permissions = Permissions(Workspace(root), mode, (), rules)
    tools = {
        "ours__add": Access("mcp"),
        "ours__look": Access("mcp", is_read_only=True),
        "ours__wipe": Access("mcp", is_destructive=True),
    }
    return [permissions.judge(access, name).decision for name, access in tools.items()]


def test_what_each_mode_and_rule_makes_of_a_call(tmp_path: Path) -> None:
    assert verdicts(tmp_path, "ask") == ["ask", "ask", "ask"]
    assert verdicts(tmp_path, "auto") == ["allow", "allow", "ask"]
    assert verdicts(tmp_path, "plan") == ["deny", "ask", "deny"]
    assert verdicts(tmp_path, "ask", Rule("allow", tool="ours__*")) == ["allow", "allow", "ask"]
    assert verdicts(tmp_path, "ask", Rule("allow", tool="other__*")) == ["ask", "ask", "ask"]
    rules = (Rule("deny", tool="ours__a*"), Rule("ask", tool="ours__look"))
    assert verdicts(tmp_path, "auto", *rules) == ["deny", "ask", "ask"]


async def test_what_a_server_says_of_its_tools_is_believed_for_asking_only(begin: Open) -> None:
    script = (
        reply(call("ours__add", left="1", right=2), call("ours__look"), call("ours__wipe")),
        reply("Done."),
    )
    answers = tuple(PermissionAnswer("deny") for _ in ALL)
    session = await begin(script, ours(tools=ALL), mode="plan", answers=answers)
    await session.run()
    assert [request.name for request in session.asker.requests] == ["ours__look"]
    assert [text.startswith("Not done: the user chose plan mode") for text in session.results()] == [
        True,
        False,
        True,
    ]
    session.server.add(reply(call("ours__wipe")), reply("Done."))
    session.agent.mode = "auto"
    await session.run()
    assert session.asker.requests[-1].reason == "its server says that it overwrites or deletes"


async def test_always_grants_that_tool_and_is_remembered(begin: Open) -> None:
    add = call("ours__add", left="20", right=22)
    session = await begin(
        (reply(add), reply(add), reply("Done.")),
        ours(tools=ALL),
        mode="ask",
        answers=(PermissionAnswer("always"),),
    )
    await session.run()
    (request,) = session.asker.requests
    assert request.always == "use ours__add for the rest of this session"
    assert request.summary == 'ours: add\n{\n  "left": 20,\n  "right": 22\n}'
    assert session.results() == ["42", "42"]
    await session.agent.aclose()
    resumed = await begin(
        (reply(add), reply("Done.")), ours(tools=ALL), mode="ask", resume=session.agent.session_id
    )
    await resumed.run()
    assert resumed.results()[-1] == "42"


async def test_a_session_keeps_the_tools_it_began_with(begin: Open) -> None:
    first = await begin((reply("Hello."),), ours("ours", "--without", "wipe", tools=("add", "look", "wipe")))
    await first.run()
    await first.agent.aclose()
    script = (reply(call("ours__look"), call("ours__wipe")), reply("Done."))
    changed = ours("ours", "--without", "look", tools=("add", "look", "wipe"))
    again = await begin(script, changed, resume=first.agent.session_id)
    events = await again.run()
    assert again.offered() == first.offered() and "ours__wipe" not in again.offered()
    assert "not as it was when this session began (new ours__wipe; gone ours__look)" in notices(events)
    assert (
        again.results()[0] == "ours answers with an error: Unknown tool: look."
        and "There is no tool 'ours__wipe'" in again.results()[1]
    )
    await again.agent.aclose()
    without = await begin(
        (reply(call("ours__add", left=1, right=2)), reply("So.")), resume=first.agent.session_id
    )
    events = await without.run()
    assert without.offered() == first.offered()
    assert "ours cannot be used: it is not in the settings any more" in notices(events)
    assert "not in the settings any more" in without.results()[-1]
    started = [event for event in without.agent.history() if isinstance(event, ToolStarted)]
    assert started[0].summary == "ours: look()"


async def test_a_session_that_began_without_a_server_goes_on_without(begin: Open) -> None:
    first = await begin((reply("Hello."),))
    await first.run()
    await first.agent.aclose()
    again = await begin((reply("Hello again."),), ours(tools=("add",)), resume=first.agent.session_id)
    events = await again.run()
    assert again.offered() == first.offered()
    assert "new ours__add): a new session has its tools" in notices(events)


async def test_a_server_that_cannot_be_used_is_told_of_and_the_session_goes_on(
    begin: Open, scripted_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.agent.mcp.connection._START_SECONDS", 5.0)
    session = await begin(
        (reply("Without them."),),
        McpServer("none", command="no-such-command"),
        # More than a pipe holds, so that it ends only if somebody reads.
        McpServer(
            "dead",
            command="sh",
            args=("-c", "yes talk | head -n 100000 >&2; echo Error: out of luck >&2; echo v20 >&2; exit 3"),
        ),
        McpServer("babble", command="sh", args=("-c", "echo hello; cat >/dev/null")),
        McpServer("mute", command="sh", args=("-c", "cat >/dev/null")),
        McpServer("nobody", url="http://127.0.0.1:9/mcp"),
        McpServer("older", url=f"{scripted_server().url}/sse"),
        McpServer(
            "secret", url="http://127.0.0.1:9/mcp", headers=(("Authorization", "Bearer ${NO_SUCH_VARIABLE}"),)
        ),
    )
    events = await session.run()
    assert end_of(events).reason == "done"
    said = notices(events)
    for sentence in (
        "none cannot be used: its command no-such-command was not found.",
        "dead cannot be used: it ended (Error: out of luck).",
        "babble cannot be used: it answered, but not in MCP's terms.",
        "mute cannot be used: it does not answer.",
        "nobody cannot be used: nothing answers at http://127.0.0.1:",
        "older cannot be used: there is no streamable HTTP at its address (HTTP 404)",
        "secret cannot be used: its settings need the variable NO_SUCH_VARIABLE, which is not set.",
    ):
        assert sentence in said
    states = session.agent.servers()
    assert [state.phase for state in states] == ["failed"] * 7
    assert states[1].last_words == (*["talk"] * 14, "Error: out of luck", "v20")
    assert "  | talk" in described(states)


async def test_an_odd_tool_costs_itself_only(begin: Open) -> None:
    sound = {"type": "object"}
    odd = [
        {"name": "empty", "inputSchema": {}},
        {"name": "list", "inputSchema": {"type": "array"}},
        {"name": "array", "inputSchema": []},
        {"name": "hinted", "inputSchema": sound, "annotations": {"readOnlyHint": [1]}},
        {"inputSchema": sound},
        7,
    ]
    session = await begin((reply("Hello."),), ours("ours", "--odd", json.dumps(odd), tools=("add", "e*")))
    events = await session.run()
    assert [name for name in session.offered() if name.startswith("ours__")] == ["ours__add"]
    assert "left out: empty, list, array, hinted, number 5, number 6." in notices(events)
    assert "  hinted: left out, for it is not described as a tool is" in described(session.agent.servers())


async def test_a_server_that_ends_in_a_call_is_started_again_for_the_next(begin: Open) -> None:
    session = await begin(
        (reply(call("ours__fall"), call("ours__add", left=1, right=2)), reply("Done.")), ours()
    )
    events = await session.run()
    assert end_of(events).reason == "done"
    assert session.results() == [
        "The MCP server ours cannot be used: it ended; the next call starts it again.",
        "3",
    ]


async def test_an_answer_that_is_none_is_told_to_the_model_in_a_sentence(begin: Open) -> None:
    script = (reply(call("ours__garble"), call("ours__look", no=1)), reply("Done."))
    session = await begin(script, ours())
    await session.run()
    assert session.results() == [
        "The MCP server ours cannot be used: it answered, but not in MCP's terms.",
        "seen",
    ]
    (state,) = session.agent.servers()
    assert (state.phase, state.message) == ("ready", "")


async def test_a_call_that_hangs_ends_at_its_time_limit(begin: Open, tmp_path: Path) -> None:
    server = ours("ours", "--notes", str(tmp_path / "notes"), timeout=3.0)
    session = await begin(
        (reply(call("ours__wait"), call("ours__add", left=1, right=2)), reply("Done.")), server
    )
    await session.run()
    assert session.results()[0].startswith("The MCP server ours cannot be used: it does not answer")
    assert session.results()[1] == "3"


async def test_esc_cancels_a_call_at_the_server_and_closing_ends_it(begin: Open, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    session = await begin((reply(call("ours__wait")),), ours("ours", "--notes", str(notes)))
    turn = asyncio.create_task(session.run())
    await until(lambda: notes.exists() and "began" in notes.read_text())
    session.agent.cancel()
    assert end_of(await turn).reason == "cancelled"
    await until(lambda: "cancelled" in notes.read_text())
    await session.agent.aclose()
    await gone(int(notes.read_text().split()[1]))


async def test_what_is_no_text_and_what_is_too_long_is_said(begin: Open) -> None:
    session = await begin(
        (reply(call("ours__picture"), call("ours__mixed"), call("ours__long")), reply("Done.")), ours()
    )
    await session.run()
    picture, mixed, long = session.results()
    assert picture == "[image, image/png, 9 bytes: it cannot be shown to you.]"
    assert mixed.split("\n") == [
        "first",
        "[resource memo://1]",
        "remember me",
        "[resource memo://2, binary, 9 bytes: it cannot be shown to you.]",
        "[resource file:///a: a file]",
    ]
    assert len(long) < 70_000 and long.startswith("line 0\n") and "more lines" in long.splitlines()[-1]


async def test_a_server_over_http(begin: Open) -> None:
    command = [sys.executable, "-m", "tests.support.programs.servers.mcp_http_server"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(await process.stdout.readline())}/mcp"
        server = McpServer("web", url=url, tools=("add",))
        session = await begin((reply(call("web__add", left=2, right=3)), reply("Five.")), server)
        events = await session.run()
        assert session.results() == ["5"], notices(events)
        refused = await begin((reply("No."),), server, is_offline=True)
        assert "web cannot be used: it has an address, and you chose to be offline" in notices(
            await refused.run()
        )
        process.kill()
        await process.wait()
        session.server.add(reply(call("web__add", left=2, right=3)), reply("Gone."))
        await session.run()
        assert session.results()[-1].startswith("The MCP server web cannot be used: ")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.slow
async def test_a_reference_server_from_npm(begin: Open) -> None:
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("NODE IS NOT HERE: npm's reference servers are not tried")
    package = "@modelcontextprotocol/server-everything"
    fetching = await asyncio.create_subprocess_exec(
        npx,
        "-y",
        package,
        "no-such-transport",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await fetching.communicate()
    if b"npm error" in said:
        pytest.skip(f"{package} CANNOT BE FETCHED HERE")
    session = await begin(
        (reply(call("every__echo", message="hello")), reply("Done.")),
        McpServer("every", command=npx, args=("-y", package, "stdio")),
    )
    events = await session.run()
    assert "hello" in session.results()[0], notices(events)


def test_nothing_is_imported_where_no_server_is_named() -> None:
    code = (
        "import sys, app.agent.agent, app.commands.headless\n"
        "sys.exit('mcp' in sys.modules or 'acp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_names_fit() -> None:
    assert called("a", "b.c/d é") == "a__b_c_d__"
    long = called("server", "x" * 100)
    assert len(long) == 64 and long != called("server", "x" * 101)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mcp = 1", "begin each server with a line"),
        ("[mcp.x]", "needs either a command or a url"),
        ('[mcp.x]\ncommand = "a"\nurl = "http://b"', "needs either a command or a url"),
        ('[mcp.x]\ncommand = "a"\nargs = "b"', "args to 'b': it must be a list of texts"),
        ('[mcp.x]\ncommand = "a"\nheaders = {a = "b"}', "headers, which goes with a url"),
        ('[mcp.x]\nurl = "http://b"\nenv = {a = "b"}', "env, which goes with a command"),
        ('[mcp.x]\nurl = "ftp://b"', "begins with http:// or https://"),
        ('[mcp.x]\ncommand = "a"\ncomand = "b"', 'sets "comand"'),
        ('[mcp."a b"]\ncommand = "a"', "a name that is none"),
        ('[mcp.x]\ncommand = "a"\ntimeout = -1', "positive number"),
    ],
)
def test_settings_that_name_no_server(text: str, complaint: str) -> None:
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(text)
    with pytest.raises(BadSettings) as raised:
        load_settings()
    assert complaint in str(raised.value) and "\n" not in str(raised.value)


def test_settings_that_name_servers() -> None:
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(
        '[mcp.time]\ncommand = "uvx"\nargs = ["mcp-server-time"]\nenv = {KEY = "${HOME}"}\ntools = ["get_*"]\n'
        '[mcp.web]\nurl = "https://127.0.0.1/mcp"\nheaders = {Authorization = "Bearer ${TOKEN}"}\n'
    )
    time, web = load_settings().mcp
    assert (time.name, time.command, time.args, time.tools) == ("time", "uvx", ("mcp-server-time",), ("get_*",))
    assert time.wants("get_current_time") and not time.wants("convert_time")
    assert web.url.endswith("/mcp") and dict(web.headers) == {"Authorization": "Bearer ${TOKEN}"}


def test_the_doctor_asks_them(capsys: pytest.CaptureFixture[str]) -> None:
    script = str(PROGRAMS / "servers" / "mcp_server.py")
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text(
        f"[mcp.ours]\ncommand = {sys.executable!r}\nargs = [{script!r}]\ntools = ['add', 'l*']\n"
        "[mcp.none]\ncommand = 'no-such-command'\n"
    )
    examine("http://127.0.0.1:9/v1")
    said = capsys.readouterr().out
    assert "ok       mcp        ours: 3 tools, about " in said
    assert "note     mcp        none cannot be used: its command no-such-command was not found" in said
