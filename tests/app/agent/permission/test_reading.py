"""In ask mode, commands that only read run without a question; others ask, and offer a rule the second time."""

from pathlib import Path

import pytest

from app.agent.permission.commands.judge import judge
from app.agent.permission.commands.reading import only_reads
from app.agent.permission.permissions import Permissions
from app.agent.tools.base import Access
from app.settings.settings import Rule, load_settings, remember_rules, settings_file
from app.workspace.workspace import Workspace

READING = [
    "ls",
    "ls -la src | head -20",
    "cat a.txt b.txt && wc -l *.py",
    "git status --short",
    "git --no-pager log --oneline -5",
    "git diff HEAD~1 -- a.txt | grep '^+'",
    "git show HEAD:a.txt",
    "git branch -a",
    "git stash list",
    "rg -n 'def f' src -g '*.py' 2>/dev/null | sort | uniq -c",
    "cd src && find . -name '*.py' -size +1k",
    "sed -n '10,20p' a.txt",
    "[ -f a.txt ] && cat a.txt 2>&1",
    "if test -f a; then cat a; else echo none; fi",
]
ASKING = [
    "ls > files.txt",
    "cat a > b",
    "cat $(make list)",
    "cat $NAME",
    "LC_ALL=C ls",
    "./ls",
    "bin/cat a",
    "ls; make",
    "ls() { make; }; ls",
    "find . -name '*.pyc' -delete",
    "find . -exec cat {} +",
    "find . -fprintf out %p",
    "rg --pre ./run x",
    "sort -o a a",
    "sort --outp=a a",
    "uniq a b",
    "sed -i s/a/b/ a.txt",
    "sed -n 'w out' a.txt",
    "git diff --output=x",
    "git diff --ext-diff",
    "git grep -O x",
    "git branch new",
    "git stash",
    "git remote add x y",
    "git -c core.pager=x log",
    "git log $(x)",
    "git fetch",
    "env ls",
    "xargs cat",
    "fd -x rm",
    "cat ../outside",
    "cat ~/.ssh/id_ed25519",
    "bash -c 'ls'",
    "awk '{print}' a",
    "tree -o out",
    "date -s 12:00",
    "",
]


@pytest.mark.parametrize("command", READING)
def test_it_runs_without_a_question(command: str, tmp_path: Path) -> None:
    assert only_reads(judge(command, tmp_path, tmp_path))
    workspace = Workspace(tmp_path)
    access = Access("command", workspace.locate(""), command)
    verdict = Permissions(workspace, "ask").judge(access, "run_shell_command")
    # Nobody looked at it: it is confined.
    assert (verdict.decision, verdict.is_approved) == ("allow", False)
    assert Permissions(workspace, "plan").judge(access, "run_shell_command").decision == "deny"
    rules = (Rule("ask", "run_shell_command"),)
    assert Permissions(workspace, "ask", rules=rules).judge(access, "run_shell_command").decision == "ask"


@pytest.mark.parametrize("command", ASKING)
def test_it_asks(command: str, tmp_path: Path) -> None:
    assert not only_reads(judge(command, tmp_path, tmp_path))


def test_what_is_asked_a_second_time_can_be_kept_as_a_rule(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)

    def verdict_of(command: str) -> tuple[str, ...]:
        access = Access("command", workspace.locate(""), command)
        verdict = permissions.judge(access, "run_shell_command")
        assert verdict.decision == "ask"
        return verdict.rules_to_keep

    permissions = Permissions(workspace, "ask")
    assert verdict_of("make test") == ()
    assert verdict_of("npm run build") == ()
    assert verdict_of("make test -j2 | tail -3") == ()
    assert verdict_of("make test -j4") == ("make test",)
    # What could only be allowed word for word is no rule.
    assert verdict_of("make > out") == verdict_of("make > out") == ()


def test_a_rule_is_added_to_what_the_user_wrote(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    rule = Rule("allow", "run_shell_command", command="make test")
    file = settings_file()
    for before in ("", 'mode = "ask"  # mine\n', '[[rules]]\ndecision = "ask"\n', "rules = []\n\n[mcp]\n"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(before)
        earlier = load_settings().rules
        remember_rules([rule])
        assert load_settings().rules == (*earlier, rule)
        assert "# mine" in file.read_text() or "# mine" not in before
