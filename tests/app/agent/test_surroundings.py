"""What lies around the workspace: instructions of folders, git directories elsewhere, and our own death."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.agent.shell.process import has_living
from app.agent.shell.sandbox import find_sandbox
from app.agent.shell.seatbelt import seatbelt_profile
from app.workspace.git import GitRepository
from tests.support.agent.agent_bench import Bench
from tests.support.agent.scripted_server import call, reply
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.review.real_project import git

Make = Callable[..., Bench]


async def test_instructions_of_a_folder_come_when_it_is_touched_and_once(bench: Make) -> None:
    b = bench(
        reply(call("read_file", file_path="src/a.py")),
        reply(call("read_file", file_path="src/deep/b.py"), call("list_directory", path="src/deep")),
        reply(call("read_file", file_path="src/a.py")),
        reply("done"),
    )
    (b.root / "AGENTS.md").write_text("Of the root.")
    (b.root / "src" / "AGENTS.md").write_text("Of the source.")
    (b.root / "src" / "deep").mkdir()
    (b.root / "src" / "deep" / "b.py").write_text("b\n")
    (b.root / "src" / "deep" / "AGENTS.md").write_text("Of the depth.")
    await b.run()
    assert "Of the root." in b.sent[0]["content"] and "Of the source." not in b.sent[0]["content"]
    first, second, third, fourth = b.results()
    assert first.endswith(
        "[Instructions for src/ (src/AGENTS.md), which go before the others:\nOf the source.]"
    )
    assert "Of the depth." in second and "Of the source." not in second
    assert "Of the" not in third.replace("AGENTS.md", "") and "Of the" not in fourth


async def test_in_a_subdirectory_of_a_repository_its_instructions_hold_too(bench: Make) -> None:
    b = bench(reply("done"))
    git(b.root.parent, "init", "--quiet")
    (b.root.parent / "AGENTS.md").write_text("Of the repository.")
    (b.root / "AGENTS.md").write_text("Of the package.")
    await b.run()
    told = b.sent[0]["content"]
    assert 0 < told.index("Of the repository.") < told.index("Of the package.")


def repository(place: Path) -> Path:
    place.mkdir()
    git(place, "init", "--quiet", "--initial-branch=main")
    git(place, "config", "user.name", "A Developer")
    git(place, "config", "user.email", "developer@example.invalid")
    git(place, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    return place


@pytest.mark.skipif(sys.platform != "linux", reason="runs bubblewrap")
@pytest.mark.parametrize("kind", ["subdirectory", "linked worktree", "whole"])
def test_git_works_in_the_sandbox_wherever_its_directory_lies(tmp_path: Path, kind: str) -> None:
    sandbox = find_sandbox()
    if sandbox is None:
        pytest.skip("NO SANDBOX: bubblewrap is missing or refused by the kernel")
    top = repository(tmp_path / "top")
    root = top if kind == "whole" else top / "sub"
    if kind == "linked worktree":
        root = tmp_path / "linked"
        git(top, "worktree", "add", "--quiet", str(root), "-b", "other")
    root.mkdir(exist_ok=True)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    outer = GitRepository(root).outer_directories(root)

    def run(command: str) -> int:
        line = sandbox.wrap(["bash", "-c", command], root, scratch, outer)
        return subprocess.run(line, cwd=root, check=False, capture_output=True).returncode

    assert run("echo x > new.txt && git add new.txt && git commit -q -m 'Add new'") == 0
    assert git(root, "log", "-1", "--format=%s").strip() == "Add new"
    assert run("git status && git stash list && git branch topic") == 0
    # What git would run for the user later is out of reach, and so is all else of the repository's.
    common = top / ".git"
    assert run(f"echo x > {common}/hooks/pre-commit") != 0
    assert run("git config core.fsmonitor evil") != 0
    assert run(f"echo x > {common}/config.new && mv {common}/config.new {common}/config") != 0
    if kind == "linked worktree":
        assert run("echo 'gitdir: /elsewhere' > .git") != 0
        assert run(f"echo /elsewhere > {common}/worktrees/linked/commondir") != 0
    if kind != "whole":
        run(f"echo x > {top}/outside.txt")
        assert not (top / "outside.txt").exists()
    assert git(root, "status", "--porcelain").strip() == ""


def test_missing_hooks_cannot_be_made_in_the_sandbox(tmp_path: Path) -> None:
    sandbox = find_sandbox()
    if sandbox is None or sys.platform != "linux":
        pytest.skip("NO SANDBOX: bubblewrap is missing or refused by the kernel")
    root = repository(tmp_path / "w")
    for file in (root / ".git" / "hooks").iterdir():
        file.unlink()
    (root / ".git" / "hooks").rmdir()
    line = sandbox.wrap(["bash", "-c", "echo x > .git/hooks/pre-commit"], root, tmp_path, ())
    assert subprocess.run(line, cwd=root, check=False, capture_output=True).returncode != 0
    assert not list((root / ".git").glob("hooks/*"))


def test_the_profile_for_macos_says_the_same(tmp_path: Path) -> None:
    top = repository(tmp_path / "top")
    profile = seatbelt_profile(top / "sub", tmp_path / "scratch", (top / ".git",)).split("\n")
    allowed = profile.index(f'(allow file-write* (subpath "{top}/.git"))')
    assert profile.index(f'(deny file-write* (subpath "{top}/.git/hooks"))') > allowed
    assert profile.index(f'(deny file-write* (subpath "{top}/.git/config"))') > allowed


PROGRAM = """
import asyncio, sys
from pathlib import Path
from app.agent.shell.process import CommandProcess

async def main():
    command = "trap '' TERM HUP; sleep 300 & echo started; sleep 300"
    process = await CommandProcess.start(["bash", "-c", command], Path(sys.argv[1]))
    async def output(text):
        print(process.group, flush=True)
    await process.run(output, None)

asyncio.run(main())
"""


async def test_commands_end_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    line = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ours = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert ours.stdout is not None
    group = int(await asyncio.to_thread(ours.stdout.readline))
    assert has_living(group)
    ours.send_signal(signal.SIGKILL)
    ours.wait()
    ours.stdout.close()
    async with asyncio.timeout(LONGEST):
        while True:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                break
            if not has_living(group):
                break
            await asyncio.sleep(0.01)
