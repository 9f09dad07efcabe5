"""Which commands need a terminal to draw on and to read keys from. Pure.

Commands of the agent, and those of the user in the message field, have neither: what waits for a key there
waits for ever, or fails with words about its terminal.
"""

from collections.abc import Callable, Iterator, Sequence

from app.agent.permission.commands.forms import forms
from app.agent.permission.commands.judge import Judgement
from app.agent.permission.commands.options import has, names
from app.agent.permission.commands.simple_commands import SimpleCommand

# Programs that take the whole terminal, and the options with which they do not.
_DRAWING: dict[str, str] = {
    **dict.fromkeys(names("vim nvim vi view vimdiff"), "--version --help --headless -es -Es -h"),
    **dict.fromkeys(names("emacs"), "--batch --version --help --daemon"),
    **dict.fromkeys(names("nano pico micro hx helix joe jed mcedit kak"), "--version --help -V -h"),
    **dict.fromkeys(names("htop btop atop iotop nvtop glances bottom btm"), "--version --help -V -h"),
    **dict.fromkeys(names("tig lazygit gitui k9s ncdu ranger nnn lf mc yazi"), "--version --help -v -V -h"),
    **dict.fromkeys(names("less more most"), "--version --help -V"),
    **dict.fromkeys(names("tmux screen zellij"), "-d -dm -dmS --version --help -V -v"),
    **dict.fromkeys(names("dialog whiptail visudo vipw passwd telnet"), "--version --help"),
    "top": "-b -l -n",
    "watch": "--version --help",
    "fzf": "-f --filter --version --help",
    "crontab": "-l -r",
    "ssh": "-V -G -N -Q",
}
_PAGERS = names("less more most")
_WITH_MESSAGE = "-m --message -F --file -C --reuse-message --no-edit --fixup --dry-run -h --help"
"""Options of `git commit` with which it opens no editor."""
# Subcommands of git, and the options with which they open an editor or ask.
_GIT_ASKING: dict[str, str] = {
    "rebase": "-i --interactive --edit-todo",
    "add": "-i -p -e --interactive --patch --edit",
    "checkout": "-p --patch",
    "restore": "-p --patch",
    "reset": "-p --patch",
    "stash": "-p --patch",
    "commit": "-p -e --patch --interactive --edit",
    "merge": "-e --edit",
    "revert": "-e --edit",
    "cherry-pick": "-e --edit",
    "branch": "--edit-description",
    "config": "-e --edit",
    "notes": "edit",
}
_EDITORS = names("GIT_EDITOR GIT_SEQUENCE_EDITOR")
"""Variables that name another program in the editor's place."""
_VALUED_BEFORE = names("-C -c --git-dir --work-tree --namespace")


def needs_terminal(judgement: Judgement) -> str | None:
    """What in a command needs a terminal, as a person would call it (`git rebase -i`); None where nothing
    does."""
    for part in (*judgement.parts, *judgement.inner):
        for form in forms(part):
            found = _need(form)
            if found is not None:
                return found
            if form.name == "git":
                break  # the next form of it is git without the options that may name an editor
    return None


def _need(part: SimpleCommand) -> str | None:
    words = [word or "" for word in part.words]
    if not words:
        return None
    name, rest = words[0].rpartition("/")[2], words[1:]
    if name == "git":
        return _git(rest, part)
    special = _BY_HAND.get(name)
    if special is not None and not special(rest):
        return None
    without = _DRAWING.get(name)
    if without is None or _says(rest, without):
        return None
    if name in _PAGERS and (part.is_fed_by_program or part.writes):
        return None  # at a pipe's end without a terminal they print what they get
    return name


def _says(words: Sequence[str], options: str) -> bool:
    single = {option for option in options.split() if len(option) > 2 and not option.startswith("--")}
    return bool(single & set(words)) or has(words, [one for one in options.split() if one not in single])


def _ssh(words: Sequence[str]) -> bool:
    """ssh opens a shell unless a command follows the host."""
    plain = list(_plain(words, names("-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -R -S -W -w")))
    return len(plain) < 2


def _crontab(words: Sequence[str]) -> bool:
    return has(words, "-e")


def _multiplexer(words: Sequence[str]) -> bool:
    """tmux alone, or to attach; its other commands talk to its server."""
    first = next(iter(_plain(words, names("-L -S -f -c"))), "")
    return first in ("", "attach", "attach-session", "a", "at", "new", "new-session")


_BY_HAND: dict[str, Callable[[Sequence[str]], bool]] = {
    "ssh": _ssh,
    "crontab": _crontab,
    "tmux": _multiplexer,
}


def _plain(words: Sequence[str], valued: frozenset[str]) -> Iterator[str]:
    skips = False
    for word in words:
        if skips or word.startswith("-"):
            skips = not skips and word in valued
        else:
            yield word


def _git(words: list[str], part: SimpleCommand) -> str | None:
    while words and words[0].startswith("-"):
        if words[0] == "-c" and len(words) > 1 and "editor=" in words[1].lower():
            return None
        del words[: 2 if words[0] in _VALUED_BEFORE else 1]
    if not words or any(name in _EDITORS for name, _value in part.assigned):
        return None
    name, rest = words[0], words[1:]
    asking = next((word for word in rest if has([word], _GIT_ASKING.get(name, ""))), None)
    if asking is not None and not (name == "stash" and rest[0] == "show"):
        return f"git {name} {asking}"
    if name == "commit" and not has(rest, _WITH_MESSAGE):
        return "git commit without a message"
    return None
