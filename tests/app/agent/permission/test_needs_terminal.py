"""Commands that draw on a terminal or read keys are refused in words, and no others."""

from pathlib import Path

import pytest

from app.agent.permission.commands.judge import judge
from app.agent.permission.commands.needs_terminal import needs_terminal
from app.agent.permission.permissions import Permissions
from app.agent.tools.base import Access
from app.workspace.workspace import Workspace

DRAWING = {
    "vim a.txt": "vim",
    "cd src && /usr/bin/vim +3 a.txt": "vim",
    "sudo nano /etc/hosts": "nano",
    "env A=1 timeout 5 top": "top",
    "less a.txt": "less",
    "sh -c 'less a.txt'": "less",
    "htop; ls": "htop",
    "tmux": "tmux",
    "tmux attach -t x": "tmux",
    "ssh -p 22 host": "ssh",
    "crontab -e": "crontab",
    "git rebase -i HEAD~3": "git rebase -i",
    "git -C src rebase --interactive main": "git rebase --interactive",
    "git add -p": "git add -p",
    "git commit": "git commit without a message",
    "git commit --amend": "git commit without a message",
    "git config --global -e": "git config -e",
    "git stash -p": "git stash -p",
}
PLAIN = [
    "vim --version",
    "vim -es -c 'q' a.txt",
    "emacs --batch -l x.el",
    "echo vim",
    "which vim less",
    "git log | less",
    "less a.txt > b.txt",
    "top -b -n 1",
    "ssh host ls",
    "tmux ls",
    "crontab -l",
    "git rebase main",
    "git rebase --continue",
    "GIT_SEQUENCE_EDITOR=true git rebase -i HEAD~3",
    "git -c sequence.editor=true rebase -i HEAD~3",
    "git commit -am words",
    "git commit --amend --no-edit",
    "git stash show -p",
    "git diff",
    "python script.py",
]


def need(command: str) -> str | None:
    return needs_terminal(judge(command, Path("/w"), Path("/w")))


@pytest.mark.parametrize(("command", "named"), DRAWING.items())
def test_what_needs_a_terminal_is_named(command: str, named: str) -> None:
    assert need(command) == named


@pytest.mark.parametrize("command", PLAIN)
def test_what_needs_none_may_run(command: str) -> None:
    assert need(command) is None


@pytest.mark.parametrize("mode", ["ask", "auto"])
def test_the_agent_is_told_and_the_user_is_not_asked(mode: str, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    permissions = Permissions(workspace, mode)  # type: ignore[arg-type]
    access = Access("command", workspace.locate(""), "git rebase -i HEAD~3")
    verdict = permissions.judge(access, "run_shell_command")
    assert verdict.decision == "deny" and "`git rebase -i` needs a terminal" in verdict.reason
