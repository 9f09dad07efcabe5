"""Wherever bash runs a command, it is found: a destructive one in each of the shell's contexts, and in two."""

import random
import shlex
import subprocess
from pathlib import Path

import pytest

from app.agent.permission.commands.judge import judge

LEAVES = [r"\rm -rf y", "rm 2>/dev/null -rf y", "git >o push", 'r"m" -rf y']
# C is the command, Q the same as one quoted word, ¦ a pipe, ¶ a line break.
CONTEXTS = r"""
echo "$( C )"|echo x$(C)y|echo `C`|x=$(C)|x+=$(C)|arr=($(C))|x=(a [1]=$(C))|a[$(C)]=1|export x=$(C)
readonly x="$(C)"|echo ${x:-$(C)}|echo "${x:=$(C)}"|echo ${x/$(C)/y}|echo "${x#$(C)}"|echo "${a[$(C)]}"
echo $(( $(C) ))|(( x = $(C) ))|cat <(C)|echo > >(C)|cat < <(C)|exec 3< <(C)|ls > "$(C)"|cat <<< "$(C)"
[[ -n x && $(C) ]]|[ $(C) ]|let x=$(C)|for i in $(C); do :; done|for i in a; do C; done
for ((i=0;i<1;i++)); do C; done|select i in a; do C; break; done|if C; then :; fi|if :; then C; fi
if :; then :; elif C; then :; else :; fi|while C; do break; done|until :; do C; done
case $(C) in a) ;; esac|case x in $(C)) ;; esac|case x in x) C;; esac|case x in x) C ;;& y) :;; esac
{ C; }|(C)|f() { C; }; f|function g { C; }; g|time ( C )|coproc { C; }|! C|time C|a=b C|> o C|2>&1 C|&>o C
true && C|false ¦¦ C|true ¦ C|C ¦ cat|C ¦& cat|C &|ls; C|ls¶C|ls # c¶C|ls a \¶ && C|C¶ls|C # c
cat <<E¶$(C)¶E|cat <<E ¦ C¶x¶E|cat <<'E' && C¶x¶E|C <<E¶x¶E|echo "$(cat <<E¶$(C)¶E¶)"|echo $'a\'' ; C
echo \" ; C|env A=1 C|nice C|timeout 3 C|command -p C|exec C|xargs C|watch Q|bash -c Q|env sh -ec Q
builtin eval Q|trap Q EXIT
"""
# In these a program of that name is run, and not what follows.
RUNS_NOTHING = ("env A=1 !", "nice !", "timeout 3 !", "command -p !", "exec !", "xargs !", "a=b !")
RUNS_NOTHING += ("nice a=b", "timeout 3 a=b", "command -p a=b", "exec a=b", "xargs a=b")


# On a Mac /bin/bash is 3.2, whatever else is first on the path; elsewhere the POSIX mode is nearest to it.
SHELLS = (["bash"], ["bash", "--posix"], ["/bin/bash"])
# Lines that bash 3.2 reads as other ones than bash 5 does (its CHANGES for 4.0 to 4.2).
READ_BY_OLD_BASH = [
    ("ls &>> ~/x", "ls & >> ~/x"),
    ("ls &>> o rm -rf y", "ls & >> o rm -rf y"),
    ("echo {fd}> ~/x", "echo '{fd}' > ~/x"),
    ("exec {fd}<> ~/x", "exec '{fd}' <> ~/x"),
    ("rm -rf **/y", "rm -rf */y"),
    ("rm y{1..3..2}", "rm 'y{1..3..2}'"),
    (r"git reset --har$'\u0064'", r"git reset '--har\u0064'"),
    (r"cat $'\u007e/x'", r"cat '\u007e/x'"),
    ("coproc cat ~/x", "'coproc' cat ~/x"),
    ("case a in a) rm -rf y ;;& b) ls ;; esac", "case a in a) rm -rf y ;; b) ls ;; esac"),
]


def contexts() -> list[str]:
    """Each as bash reads it."""
    lines = CONTEXTS.strip().split("\n")
    return [text.replace("¦", "|").replace("¶", "\n") for line in lines for text in line.split("|")]


def within(context: str, command: str) -> str:
    """`command` put into `context`."""
    return context.replace("Q", shlex.quote(command)).replace("C", command)


def unasked(lines: list[str]) -> list[str]:
    """Those of `lines` that need no word of the user's, and that bash would run."""
    place = Path("/usr")
    found = [line for line in lines if not judge(line, place, place).reasons]
    return [
        line
        for line in found
        if not any(words in line for words in RUNS_NOTHING)
        if any(
            subprocess.run([*shell, "-n", "-c", line], capture_output=True, check=False).returncode == 0
            for shell in SHELLS
        )
    ]


def test_a_command_is_found_in_every_context() -> None:
    assert unasked([within(context, leaf) for context in contexts() for leaf in LEAVES]) == []


@pytest.mark.parametrize(("line", "old"), READ_BY_OLD_BASH)
def test_what_an_old_bash_would_run_is_asked_about_too(line: str, old: str) -> None:
    place = Path("/usr")
    assert judge(line, place, place).reasons or not judge(old, place, place).reasons


@pytest.mark.slow
def test_a_command_is_found_in_contexts_within_contexts() -> None:
    chance = random.Random(1)
    lines = []
    for _ in range(20_000):
        inner, outer = chance.choice(contexts()), chance.choice(contexts())
        # Backticks in backticks need escapes; in a here-document, a line break of the inner ends the line.
        if not ("`" in inner and "`" in outer) and not ("\n" in inner and "<<" in outer):
            lines.append(within(outer, within(inner, chance.choice(LEAVES))))
    assert unasked(lines) == []
