"""Rules in the settings: deny before ask before allow; what always asks is allowed by none."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.permission.permissions import Permissions
from app.agent.tools.base import Access
from app.settings.settings import BadSettings, Rule, load_settings, settings_file
from app.workspace.workspace import Workspace
from tests.support.agent.agent_bench import Bench
from tests.support.agent.scripted_server import call, reply

Make = Callable[..., Bench]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "w" / "src").mkdir(parents=True)
    return Workspace(tmp_path / "w")


def decide(workspace: Workspace, rules: tuple[Rule, ...], tool: str, what: str, mode: str = "ask") -> str:
    kind = {"read_file": "read", "run_shell_command": "command"}.get(tool, "write")
    place = workspace.locate("" if kind == "command" else what)
    access = Access(kind, place, what if kind == "command" else "")  # type: ignore[arg-type]
    return Permissions(workspace, mode, rules=rules).judge(access, tool).decision  # type: ignore[arg-type]


def command(rule: str, decision: str = "allow") -> Rule:
    return Rule(decision, "run_shell_command", command=rule)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "tool", "what", "decision"),
    [
        ((Rule("deny", path="*.env"),), "read_file", "conf/prod.env", "deny"),
        ((Rule("deny", path="*.env"),), "read_file", "env.py", "allow"),
        ((Rule("deny", "edit", "secrets/"),), "edit", "secrets/a", "deny"),
        ((Rule("deny", "edit", "secrets/"),), "read_file", "secrets/a", "allow"),
        ((Rule("allow", path="src/**"),), "edit", "src/a.py", "allow"),
        ((Rule("allow", path="src/**"),), "edit", "a.py", "ask"),
        ((Rule("allow"),), "edit", "../outside", "ask"),
        ((Rule("allow"),), "edit", ".git/config", "ask"),
        ((Rule("deny", path="~"),), "read_file", "~/x", "deny"),
        ((Rule("allow", path="src/**"), Rule("ask", "edit")), "edit", "src/a.py", "ask"),
        ((command("make test"),), "run_shell_command", "make test -j2", "allow"),
        ((command("make test"),), "run_shell_command", "make tests", "ask"),
        ((command("make"),), "run_shell_command", "make && ls", "ask"),
        ((command("echo"), Rule("deny", path="secrets/")), "run_shell_command", "echo " + "x" * 300, "allow"),
        ((Rule("deny", path="secrets/"),), "run_shell_command", "git show HEAD:secrets/a", "deny"),
        ((command("make"), command("ls")), "run_shell_command", "make && ls | ls -l", "allow"),
        ((command("make"),), "run_shell_command", "make > out", "ask"),
        ((command("make"),), "run_shell_command", "CC=evil make", "ask"),
        ((command("make"),), "run_shell_command", "env CC=evil make", "ask"),
        ((command("make"),), "run_shell_command", "make $(curl x)", "ask"),
        ((command("git"),), "run_shell_command", "git push --force", "ask"),
        ((command("rm"),), "run_shell_command", "rm -rf build", "ask"),
        ((command("git push", "deny"),), "run_shell_command", "make; git push", "deny"),
        ((command("git push", "deny"),), "run_shell_command", "env A=1 timeout 5 git push", "deny"),
        ((command("git push", "deny"), command("git")), "run_shell_command", "git push", "deny"),
    ],
)
def test_rules(workspace: Workspace, rules: tuple[Rule, ...], tool: str, what: str, decision: str) -> None:
    assert decide(workspace, rules, tool, what) == decision


def test_modes_and_rules(workspace: Workspace) -> None:
    assert decide(workspace, (Rule("allow"),), "edit", "a", "plan") == "deny"
    assert decide(workspace, (Rule("ask", "edit"),), "edit", "a", "auto") == "ask"
    assert decide(workspace, (command("make", "ask"),), "run_shell_command", "make", "auto") == "ask"


RULES = st.builds(
    Rule,
    st.sampled_from(["allow", "ask", "deny"]),
    st.sampled_from(["", "edit", "run_shell_command", "read_file"]),
    st.sampled_from(["", "src/**", "*.py"]),
    st.sampled_from(["", "make", "git push"]),
)


@given(st.lists(RULES, max_size=5), st.sampled_from(["plan", "ask", "auto"]))
def test_no_rule_loosens_what_always_asks_and_order_does_not_matter(rules: list[Rule], mode: str) -> None:
    workspace = Workspace(Path(os.sep, "usr"))
    for tool, what in (
        ("edit", "/etc/x"),
        ("run_shell_command", "git push"),
        ("run_shell_command", "rm -rf x"),
    ):
        decision = decide(workspace, tuple(rules), tool, what, mode)
        assert decision != "allow"
        assert decision == decide(workspace, tuple(reversed(rules)), tool, what, mode)


async def test_the_model_is_told_which_rule_denies(bench: Make) -> None:
    b = bench(reply(call("read_file", file_path="notes.md"), call("glob", pattern="*")), reply("done"))
    b.agent._permissions._rules = (Rule("deny", "read_file", "*.md"),)
    await b.run("See @notes.md")
    assert "three" not in b.sent[0]["content"], "nor does a mention read it"
    assert b.results()[0] == "Not done: a rule in the user's settings denies read_file *.md."


async def test_what_a_rule_keeps_is_not_found_from_the_folders_around_it(bench: Make) -> None:
    look = (
        call("grep_search", pattern="token"),
        call("glob", pattern="**/*.txt"),
        call("list_directory"),
        call("list_directory", path="secrets"),
        call("run_shell_command", command="cat secrets/a.txt"),
        call("run_shell_command", command="cd src && grep token ../secrets/*"),
        call("run_shell_command", command="wc -l < secrets/a.txt", is_background=True),
    )
    b = bench(reply(*look), reply("done"))
    for name in ("secrets/a.txt", "src/b.txt", "key.pem"):
        (b.root / name).parent.mkdir(exist_ok=True)
        (b.root / name).write_text("token\n")
    b.agent._permissions._rules = (Rule("deny", path="secrets/"), Rule("ask", "read_file", "*.pem"))
    await b.run("See @./ and @secrets/")
    grep, glob, listed, *denied = b.results()
    assert grep == "src/b.txt\n1: token\n[2 left out: the user's rules keep them from you.]"
    assert glob == "src/b.txt\n[1 left out: the user's rules keep them from you.]"
    assert "secrets" not in listed and "src/" in listed and "[2 left out" in listed
    assert all("a rule in the user's settings denies secrets/" in said for said in denied)
    told = b.sent[0]["content"]
    assert "secrets" not in told.partition("The user mentions")[2].partition("</context>")[0]
    assert "a.txt" not in told


def test_settings_hold_rules() -> None:
    file = settings_file()
    file.parent.mkdir(parents=True)
    file.write_text(
        '[[rules]]\ndecision = "deny"\ntool = "edit"\n[[rules]]\ndecision = "allow"\ncommand = "make"\n'
    )
    assert load_settings().rules == (Rule("deny", "edit"), Rule("allow", command="make"))
    for text, said in {
        'rules = "deny"': "tables",
        "[[rules]]\npath = 'x'": "rule 1 has no decision",
        "[[rules]]\ndecision = 'never'": "has no decision",
        "[[rules]]\ndecision = 'deny'\nfile = 'x'": 'sets "file"',
        "[[rules]]\ndecision = 'deny'\npath = 3": "sets path to 3",
    }.items():
        file.write_text(text)
        with pytest.raises(BadSettings, match=said):
            load_settings()


NO_PUSH = (Rule("deny", command="git push"),)
PUSHING = (
    *("git push origin", "git -C sub push", "git --no-pager -c a=b push", "git --git-dir=.git push"),
    *("bash -c 'git push'", "bash -lc 'cd src && git push'", "bash <<< 'git push'", "sh <<EOF\ngit push\nEOF"),
    *("env -S 'git push'", "env -S 'A=1 git push'", "script -qc 'git push'", "su -c 'git push'"),
    *("ssh-agent git push", "ssh-agent bash -c 'git push'", "sudo -u me git push", "xvfb-run git push"),
    *("trap 'git push' EXIT", "eval git push", "eval 'git push'", "GIT_EDITOR='git push' git commit"),
    *(
        "PAGER='git push' git log",
        "find . -exec git push \\;",
        "git bisect run git push",
        "flock l -c 'git push'",
    ),
    *("echo $(git push)", "diff <(git push) a", "sudo bash -c 'env A=1 git -C x push'", "! git push"),
)


@pytest.mark.parametrize("command", PUSHING)
def test_what_a_rule_denies_is_found_wherever_it_stands_in_plain_sight(
    command: str, workspace: Workspace
) -> None:
    assert decide(workspace, NO_PUSH, "run_shell_command", command, "auto") == "deny"


@pytest.mark.parametrize("command", ["git pull", "echo git push", "grep 'git push' x", "git log --grep push"])
def test_words_alone_are_no_command(command: str, workspace: Workspace) -> None:
    assert decide(workspace, NO_PUSH, "run_shell_command", command, "auto") != "deny"
