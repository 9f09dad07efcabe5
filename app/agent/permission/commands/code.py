"""Programs given on the command line (`python -c …`, `sed …`): what in them deletes, runs or leaves. Pure."""

import re

from app.agent.permission.commands.options import has
from app.agent.permission.commands.parts import Part, Word

INTERPRETERS = re.compile(r"(?:python|pypy|node|nodejs|ruby|perl|php|deno|bun|lua|osascript)[\d.]*w?\Z")
_GIVEN_BY = {
    "python": "-c",
    "pypy": "-c",
    "node": "-e -p --eval --print",
    "perl": "-e -E",
    "ruby": "-e",
    "php": "-r",
}
_GIVEN_BY |= {"deno": "eval", "bun": "-e --eval", "lua": "-e"}
_DELETING = re.compile(
    r"\b(?:rmtree|unlink(?:Sync)?|rmdir(?:Sync)?|removedirs|rmSync|rm_rf|rm_r|remove_entry|FileUtils\.rm|truncate)\b"
    r"|\bos\.(?:remove|rename|replace|truncate)\b|\bshutil\.move\b|\b(?:File|Dir)\.delete\b|\bfs\.rm\b|\brm\s+-[rRf]"
)
_RUNNING = re.compile(
    r"\bos\.(?:system|popen|exec\w*|spawn\w*|posix_spawn\w*|kill(?:pg)?)\b|\bsubprocess\b|\bpty\.spawn\b|\bchild_process\b"
    r"|\bshell_exec\b|\bpassthru\b|\bproc_open\b|\bsystem\s*\(|\bos\.execute\b|\bio\.popen\b|\bBun\.spawn\b|Deno\.(?:run|Command)"
    r"|\bexec\s*\(|\beval\s*\(|__import__|\bimportlib\b|\bdo shell script\b|(?:^|[^\w'\"])`[^`]+`"
)
_QUOTED_PATH = re.compile(r"""['"]((?:~|/|\.\./)[^'"\n]*)['"]""")
_AWK_RUNS = re.compile(r"\|&?\s*[\"$(\w]|\"\s*\|&?\s*getline")
_SED_FILE = re.compile(r"(?:^|[;{}\d$/])\s*[rRwW]\s+(\S+)|/w\s+(\S+)")
_SED_RUNS = re.compile(r"(?:^|[;{}\d$/])\s*e(?:\s|$)|s(.).*\1.*\1[gpiImM\d]*e")


def program_texts(part: Part) -> list[Word | str]:
    """The programs that the command line of `part`, which is unwrapped, gives an interpreter."""
    name = part.name or ""
    if not INTERPRETERS.match(name):
        return []
    kind = re.sub(r"[\d.]+w?\Z", "", name)
    found: list[Word | str] = []
    options = _GIVEN_BY.get(kind, "-e -c").split()
    for word, following in zip(part.spoken[1:], part.spoken[2:], strict=False):
        value = word.value or ""
        if value in options or (value[:1] == "-" and value[1:2] != "-" and f"-{value[-1:]}" in options):
            found.append(following)
    if part.fed is not None and not has_script(part):
        found.append(part.fed)
    return found


def has_script(part: Part) -> bool:
    """Whether an interpreter or shell is given what to run, so that its input is no program."""
    words = part.words[1:]
    named = [word for word in words if word is None or not word.startswith("-")]
    return bool(named) and named != ["-"] and not has(words, "-s")


def code_reasons(text: str) -> list[str]:
    """Why a program needs asking about; where it leads is said by `paths_in`."""
    reasons = ["its code deletes or moves files"] if _DELETING.search(text) else []
    return reasons + (["its code runs other programs"] if _RUNNING.search(text) else [])


def paths_in(text: str) -> list[str]:
    """What in the text of a program looks like a path that may lead outside."""
    found = _QUOTED_PATH.findall(text)
    return [path for path in found if path != "/" and " " not in path and not path.startswith(("//", "/*"))]


def awk_reasons(script: str) -> list[str]:
    """Why a program for awk needs asking about."""
    runs = _RUNNING.search(script) or _AWK_RUNS.search(script.replace("||", " "))
    return ["its code runs other programs"] if runs else []


def sed_reasons(script: str) -> list[str]:
    """Why a script for sed needs asking about."""
    return ["its script runs other programs"] if _SED_RUNS.search(script) else []


def sed_paths(script: str) -> list[str]:
    """The files that a script for sed reads and writes."""
    return [path for found in _SED_FILE.findall(script) for path in found if path]
