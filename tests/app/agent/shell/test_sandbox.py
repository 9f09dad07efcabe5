"""The sandbox on Linux, run for real: what a command in it cannot do. test_seatbelt puts the questions to the
profile for macOS."""

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.agent.errors import ToolFailure
from app.agent.permission.permissions import Permissions, Verdict
from app.agent.port import PermissionAnswer
from app.agent.shell.confined import TRIES, start_confined
from app.agent.shell.process import CommandProcess
from app.agent.shell.sandbox import Bubblewrap, Sandbox, find_sandbox
from app.git.git import Git
from app.settings.settings import Rule, settings_file
from app.workspace.workspace import Workspace
from tests.support.agent.agent_bench import Bench, ended, nap
from tests.support.agent.scripted_server import call, reply
from tests.support.patience import LONGEST
from tests.support.review.real_project import git

Make = Callable[..., Bench]
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or find_sandbox() is None,
    reason="NO SANDBOX: bubblewrap is missing or refused by the kernel",
)


@pytest.fixture
def sandbox() -> Sandbox:
    found = find_sandbox()
    assert found is not None
    return found


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory outside /tmp, of which commands have another."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        place = Path(name)
        monkeypatch.setenv("HOME", name)
        monkeypatch.setenv("TIDEGATE_HOME", str(place / "tidegate"))
        for directory in ("work/.git/hooks", "scratch", "kept", ".aws", "tidegate/config"):
            (place / directory).mkdir(parents=True)
        (place / "kept" / "id").write_text("private")
        (place / ".ssh").symlink_to(place / "kept")
        (place / ".netrc").write_text("private")
        settings_file().write_text("private")
        yield place


def run(sandbox: Sandbox, home: Path, command: str, root: str = "work", hidden: tuple[Path, ...] = ()) -> int:
    line = sandbox.wrap(["bash", "-c", command], home / root, home / "scratch", (), hidden)
    return subprocess.run(line, cwd=home / root, capture_output=True, check=False).returncode


def test_it_writes_in_the_workspace_and_a_temporary_folder_only(sandbox: Sandbox, home: Path) -> None:
    assert run(sandbox, home, "echo x > inside && echo x > /tmp/note && cat inside /tmp/note") == 0
    assert (home / "work" / "inside").exists() and (home / "scratch" / "note").exists()
    run(sandbox, home, f"echo x > {home}/outside; echo x > {home}/work/../outside; echo x > /var/tmp/outside")
    assert not (home / "outside").exists() and not Path("/var/tmp/outside").exists()
    # A user who is root has no more of it.
    assert run(sandbox, home, f"mount -o remount,rw,bind / || mount -o remount,rw,bind {home}") != 0
    assert run(sandbox, home, "echo x > .git/hooks/pre-commit") != 0


@pytest.mark.parametrize("root", ["work", ".", ".aws"], ids=["beside", "the home directory", "in one"])
def test_it_sees_no_keys_wherever_the_workspace_is(sandbox: Sandbox, home: Path, root: str) -> None:
    assert run(sandbox, home, "echo x > mine && cat mine", root) == 0
    for place in (".ssh/id", "kept/id", ".netrc", "tidegate/config/settings.toml"):
        assert run(sandbox, home, f"grep private {home}/{place}", root) != 0, place
    assert run(sandbox, home, "grep -rs private ~", root) != 0
    run(sandbox, home, "echo x > ~/.netrc; echo x > ~/.ssh/id", root)
    assert (home / ".netrc").read_text() == (home / "kept" / "id").read_text() == "private"


def test_it_has_no_network_and_no_other_program_takes_its_orders(sandbox: Sandbox, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connect = f"exec 3<>/dev/tcp/127.0.0.1/{listener.getsockname()[1]}"
        assert subprocess.run(["bash", "-c", connect], check=False).returncode == 0
        assert run(sandbox, home, connect) != 0
    # Beyond: an address that leads nowhere, and a name. Refused at once, where a network would be waited for.
    assert run(sandbox, home, "timeout 20 bash -c 'exec 3<>/dev/tcp/192.0.2.1/80'; test $? = 1") == 0
    assert run(sandbox, home, "getent hosts example.invalid") != 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home / "daemon"))
        listener.listen()
        order = f"import socket; socket.socket(socket.AF_UNIX).connect('{home}/daemon')"
        assert subprocess.run([sys.executable, "-c", order], check=False).returncode == 0
        assert run(sandbox, home, f'{sys.executable} -c "{order}"') != 0


def test_it_reaches_no_process_of_ours(sandbox: Sandbox, home: Path) -> None:
    if "--unshare-pid" not in sandbox.wrap(["true"], home, home):
        pytest.skip("NO PROCESS NAMESPACE: refused by the kernel")
    with subprocess.Popen(["sleep", "60"], env={"MY_TOKEN": "private"}) as other:
        try:
            for command in ("kill PID", "cat /proc/PID/environ", "grep -a '^MY_TOKEN' /proc/[0-9]*/environ"):
                assert run(sandbox, home, command.replace("PID", str(other.pid))) != 0, command
            assert other.poll() is None
        finally:
            other.kill()


def test_it_has_addresses_of_its_own_to_serve_at(sandbox: Sandbox, home: Path) -> None:
    serve = "import socket as s; a = s.create_server(('127.0.0.1', 0)); s.create_connection(a.getsockname())"
    # The environment may lie in a folder that the sandbox hides, such as /tmp; what it was made from does not.
    python = Path(sys.executable).resolve()
    assert run(sandbox, home, f'{python} -c "{serve}"') == 0


async def test_what_is_gone_before_it_is_hidden_costs_another_try_and_no_command_runs_twice(
    sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets end and files are removed between being found and being mounted over."""
    root, gone = home / "work", home / "was-here"
    found: list[Path] = []
    monkeypatch.setattr("app.agent.shell.sandbox.listening_sockets", lambda: [found.pop()] if found else [])

    async def said(command: str) -> tuple[int, str]:
        words: list[str] = []

        async def output(text: str) -> None:
            words.append(text)

        process = await start_confined(
            lambda line: sandbox.wrap(line, root, home / "scratch"), ["bash", "-c", command], root
        )
        outcome = await process.run(output, None)
        return outcome.status, "".join(words)

    for times, command, expected in (
        (0, "echo begun >> a; exit 7", (7, "")),
        (TRIES - 1, "echo begun >> a; ls /proc/self/fd | wc -l", (0, "4\n")),
        # What a command says itself is not taken for the sandbox's word.
        (1, "echo begun >> a; echo bwrap: no; exit 1", (1, "bwrap: no\n")),
    ):
        found[:] = [gone] * times
        assert await said(command) == expected
        assert not found and (root / "a").read_text() == "begun\n"
        (root / "a").unlink()
    found[:] = [gone] * TRIES
    with pytest.raises(ToolFailure, match=f"nothing was run: bwrap: .*{gone.name}"):
        await said("echo begun >> a")
    assert not (root / "a").exists()


def test_one_socket_that_ends_does_not_count_as_no_sandbox(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [home / "was-here"]
    monkeypatch.setattr("app.agent.shell.sandbox.listening_sockets", lambda: [found.pop()] if found else [])
    tried = find_sandbox.__wrapped__()
    assert tried is not None and not found and tried.lacks == find_sandbox().lacks  # type: ignore[union-attr]


async def test_what_ends_it_gives_it_time_and_leaves_nothing(sandbox: Sandbox, home: Path) -> None:
    sleep = nap()
    command = f"trap 'echo bye > left; exit' TERM; setsid {sleep} & echo up; wait"
    line = sandbox.wrap(["bash", "-c", command], home / "work", home / "scratch")
    process = await CommandProcess.start(line, home / "work")
    up = asyncio.Event()

    async def output(_text: str) -> None:
        up.set()

    running = asyncio.create_task(process.run(output, None))
    await asyncio.wait_for(up.wait(), LONGEST)
    running.cancel()
    await asyncio.wait([running])
    assert (home / "work" / "left").read_text() == "bye\n"
    await ended(sleep)


HIDDEN = (
    "cat s*/$(echo a).txt",
    "grep -rh token .",
    "tee -a .e?v < src/a.py",
    "find . -type f -newer notes.md | sort | xargs cat",
    "for f in .e*; do ln $f seen; cat seen; done",
    "cd s*; cat *; cd ../deep; cat */.e*",
)


async def test_what_a_rule_keeps_no_unseen_command_reaches(bench: Make) -> None:
    commands = [call("run_shell_command", command=command) for command in HIDDEN]
    b = bench(reply(*commands, call("run_shell_command", command="cat src/a.py")), reply("done"))
    for name in ("secrets/a.txt", "deep/down/.env", ".env", "named.txt"):
        (b.root / name).parent.mkdir(parents=True, exist_ok=True)
        (b.root / name).write_text("token\n")
    (b.root / "link").symlink_to(b.root / "secrets")
    (b.root / "named").symlink_to(b.root / "named.txt")
    rules = (Rule("deny", path="secrets/**"), Rule("deny", "read_file", ".env"), Rule("ask", path="named"))
    b.agent._permissions._rules = rules
    b.agent._permissions.grant(("prefix cat",))
    await b.run()
    *told, last = b.results()
    assert "token" not in "".join(told) and "def f()" in last
    assert "rules keep from you" in told[1]
    assert (b.root / ".env").read_text() == (b.root / "secrets" / "a.txt").read_text() == "token\n"


async def test_what_is_hidden_is_not_committed_as_gone(bench: Make) -> None:
    b = bench(
        reply(call("run_shell_command", command="git add -A; git commit -qam All; git status")), reply("done")
    )
    for name in ("secrets/a.txt", "deep/.env"):
        (b.root / name).parent.mkdir()
        (b.root / name).write_text("token\n")
    for words in (
        ("init", "--quiet"),
        ("config", "user.name", "A Developer"),
        ("config", "user.email", "developer@example.invalid"),
        ("add", "--all"),
        ("commit", "--quiet", "--message", "Begin"),
    ):
        git(b.root, *words)
    (b.root / "notes.md").write_text("other\n")
    b.agent._permissions._rules = (Rule("deny", path="secrets/"), Rule("deny", path=".env"))
    await b.run()
    assert "token" not in b.results()[0]
    assert {"secrets/a.txt", "deep/.env"} <= set(git(b.root, "ls-files").split())
    assert "D" not in git(b.root, "log", "--format=", "--name-status").split()


async def test_more_than_can_be_hidden_is_asked_about(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.agent.permission.rules._MOST_HIDDEN", 1)
    b = bench(reply(call("run_shell_command", command="ls")), reply("done"))
    b.agent._permissions._rules = (Rule("deny", path="*.md"),)
    (b.root / "more.md").write_text("x")
    b.asker.answers = [PermissionAnswer("deny")]
    await b.run()
    assert "more files from commands than could be hidden" in b.asker.requests[0].reason


async def test_a_job_is_stopped_by_a_command_though_it_lies_outside_its_sandbox(bench: Make) -> None:
    sleep = nap()

    def stop(request: dict[str, object]) -> object:
        told = str(request["messages"])
        group = told.partition("kill -- -")[2].partition("'")[0]
        assert group.isdigit()
        return reply(call("run_shell_command", command=f"kill -TERM -- -{group} 2>/dev/null || true"))

    b = bench(reply(call("run_shell_command", command=sleep, is_background=True)), stop, reply("done"))
    await b.run()
    await ended(sleep)


async def test_what_would_have_git_run_something_is_removed(bench: Make) -> None:
    """Of a git directory these are not there, so nothing can be laid over them."""
    b = bench(reply(call("run_shell_command", command="bash src/go.sh")), reply("done"))
    (b.root / "src" / "go.sh").write_text("echo ../evil > .git/commondir\n")
    git(b.root, "init", "--quiet")
    await b.run()
    assert not (b.root / ".git" / "commondir").exists() and "Removed" in b.results()[0]


def test_git_enters_no_repository_within(tmp_path: Path) -> None:
    """One that a command made could have git run anything, outside the sandbox."""
    inner = tmp_path / "inner"
    inner.mkdir()
    for place in (tmp_path, inner):
        git(place, "init", "--quiet")
        git(place, "config", "user.name", "A Developer")
        git(place, "config", "user.email", "developer@example.invalid")
        git(place, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    git(tmp_path, "add", "inner")
    hook = tmp_path / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    git(inner, "config", "core.fsmonitor", str(hook))
    assert Workspace(tmp_path).status() is not None
    Git(tmp_path).run("diff", "--cached")
    Git(tmp_path).run("diff")
    assert not (tmp_path / "ran").exists()
    git(tmp_path, "status")
    assert (tmp_path / "ran").exists(), "it would have"


def test_where_the_kernel_allows_no_proc_the_rest_of_it_holds(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("bwrap")
    (home / "bwrap").write_text(f'#!/bin/sh\ncase "$*" in *--proc*) exit 1;; esac\nexec {real} "$@"\n')
    (home / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home}:/usr/bin:/bin")
    found = find_sandbox.__wrapped__()
    assert found is not None and "signal your other processes" in found.lacks
    assert run(found, home, "cat ~/.netrc") != 0 and run(found, home, "true") == 0


def test_without_a_namespace_of_processes_it_ends_with_its_monitor() -> None:
    line = Bubblewrap("bwrap", has_processes=False).wrap(["true"], Path("/project"), Path("/scratch"))
    assert "--unshare-pid" not in line and "--die-with-parent" in line
    assert line.index("--ro-bind") < line.index("/scratch") < line.index("/project")


async def test_a_repository_that_is_a_link_works_and_stays_the_one_it_is(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Android's `repo` lays it out: no command ran at all."""
    evil = "rm .git; git init -q .; echo 'echo evil' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit"
    b = bench(
        reply(
            call("run_shell_command", command="git add -A && git status --short"),
            call("run_shell_command", command="echo x > .git/hooks/pre-commit; echo x > .git/config"),
            call("run_shell_command", command=evil),
        ),
        reply("done"),
    )
    b.asker.answers = [PermissionAnswer("deny")]
    # As if nothing in these lines could be told.
    monkeypatch.setattr(Permissions, "judge", lambda *_: Verdict("allow", is_approved=False))
    kept = b.root.parent / "meta" / "project.git"
    kept.parent.mkdir()
    git(b.root, "init", "--quiet")
    (b.root / ".git").rename(kept)
    (b.root / ".git").symlink_to(kept)
    (kept / "hooks").mkdir(exist_ok=True)
    before = (kept / "config").read_bytes()
    await b.run()
    staged, _, replaced = b.results()
    assert "A  notes.md" in staged
    assert (kept / "config").read_bytes() == before and not (kept / "hooks" / "pre-commit").exists()
    assert (b.root / ".git").readlink() == kept and "[Removed, because" in replaced
