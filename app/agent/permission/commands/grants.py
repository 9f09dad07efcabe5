"""What answering "always" grants for a part of a command. Pure."""

from app.agent.permission.commands.code import INTERPRETERS
from app.agent.permission.commands.options import names
from app.agent.permission.commands.simple_commands import SimpleCommand
from app.agent.permission.commands.wrapped import SHELLS, WRAPPERS

# Programs whose first word after the name says what they do.
_WITH_SUBCOMMAND = names("""
    git npm pnpm yarn bun cargo go uv pip pip3 poetry hatch pdm pipenv rye bundle conda docker podman kubectl
    make gh brew apt dotnet systemctl
""")
_RUNNING = frozenset(["run", "exec", "dlx"])
# Never granted by name alone: what follows decides everything, or changes what comes after it.
_EXACT_ONLY = SHELLS | WRAPPERS
_EXACT_ONLY |= names("""
    rm rmdir unlink mv dd eval source . find fd sed awk gawk mawk tee chmod chown ln ssh scp rsync vi vim nvim
    ex ed emacs gdb lldb export declare typeset local readonly read mapfile readarray unset alias unalias hash
    enable set shopt trap let getopts
""")


def grant_for(part: SimpleCommand) -> tuple[str, bool]:
    """What "always" grants, and whether it is a prefix: (`git diff`, True) allows whatever begins with those
    words, (`python -c '…'`, False) only that very text."""
    words = part.words
    name = words[0] if words else None
    if part.assigned or part.writes or not name or name in _EXACT_ONLY or not name.isascii():
        return part.text, False
    if name == "printf" and words[1:2] == ("-v",):
        return part.text, False
    count = 1
    if name in _WITH_SUBCOMMAND:
        # `uv run pytest`: the grant is for pytest.
        count = 3 if len(words) > 1 and words[1] in _RUNNING else 2
    elif INTERPRETERS.match(name):
        count = 3 if len(words) > 1 and words[1] == "-m" else 2
    head = words[:count]
    if len(head) < count or any(_is_no_name(word) for word in head[1:]):
        return part.text, False
    return " ".join(word for word in head if word is not None), True


def _is_no_name(word: str | None) -> bool:
    """Whether a word does not name a subcommand: an option, a setting, or a computed word."""
    return word is None or (word.startswith("-") and word != "-m") or "=" in word or " " in word
