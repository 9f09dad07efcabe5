"""What a command destroys, publishes or does beyond anybody's reach, in words. Pure."""

import re
import unicodedata

from app.agent.permission.commands.code import INTERPRETERS, has_script
from app.agent.permission.commands.git import git_reasons
from app.agent.permission.commands.options import has, names
from app.agent.permission.commands.simple_commands import SimpleCommand, Word
from app.agent.permission.commands.wrapped import SHELLS

_ALWAYS = {
    **dict.fromkeys(("sudo", "doas", "su", "runuser", "pkexec"), "runs as another user"),
    **dict.fromkeys(("chroot", "unshare", "nsenter"), "leaves the environment it runs in"),
    **dict.fromkeys(("shutdown", "reboot", "halt", "poweroff"), "stops the machine"),
    **dict.fromkeys(("killall", "pkill", "skill"), "ends processes by name"),
    **dict.fromkeys(("shred", "srm", "wipe", "rimraf", "trash"), "destroys files"),
    **dict.fromkeys(("fdisk", "parted", "diskutil", "wipefs", "mkswap"), "changes disks"),
    **dict.fromkeys(("mount", "umount"), "changes what lies where"),
    **dict.fromkeys(("iptables", "nft", "ufw", "pfctl"), "changes the network's rules"),
    **dict.fromkeys(("useradd", "userdel", "usermod", "passwd", "visudo", "dscl"), "changes users"),
    **dict.fromkeys(("at", "batch", "systemd-run"), "has something run later, outside the session"),
    **dict.fromkeys(("screen", "tmux"), "runs something outside the session"),
    **dict.fromkeys(("ssh", "scp", "sftp", "ftp", "mosh"), "acts on another machine"),
    **dict.fromkeys(("open", "xdg-open", "osascript", "automator"), "has other applications act"),
    **dict.fromkeys(
        ("terraform", "tofu", "pulumi", "ansible", "ansible-playbook", "helm"), "acts on other machines"
    ),
    "dd": "overwrites raw data",
    "truncate": "cuts files off",
    "eval": "runs text as a command",
    "alias": "changes what names of commands mean",
    "enable": "changes what names of commands mean",
    "security": "reads and changes the keychain",
    "launchctl": "changes services",
    "sysctl": "changes the system",
    "defaults": "changes settings outside the workspace",
}
# Program: what must stand on its command line (options or words, nothing: whatever does), and why.
_SOMETIMES: dict[str, tuple[tuple[str, str], ...]] = {
    "rm": (("-r -R -f --recursive --force --no-preserve-root", "with these options deletes without asking"),),
    "chmod": (("-R --recursive", "-R changes whole directories"),),
    "chown": (("-R --recursive", "-R changes whole directories"),),
    "chgrp": (("-R --recursive", "-R changes whole directories"),),
    "rsync": (
        ("--delete --del --delete-before --delete-after --delete-during --delete-excluded", "deletes files"),
        ("-e --rsh --rsync-path", "runs another program"),
        ("--remove-source-files", "deletes files"),
    ),
    "tar": (
        (
            "--to-command --checkpoint-action --use-compress-program -I --rsh-command --info-script",
            "runs another program",
        ),
        ("-P --absolute-names", "writes wherever the archive says"),
        ("--remove-files", "deletes files"),
    ),
    "crontab": (("- -r -e -i", "changes what runs at set times"),),
    "find": (("-delete -ok -okdir -fls -fprint -fprint0 -fprintf", "acts on every file it finds"),),
    "npm": (("publish unpublish deprecate dist-tag access", "publishes"),),
    "yarn": (("publish", "publishes"),),
    "pnpm": (("publish", "publishes"),),
    "bun": (("publish", "publishes"),),
    "cargo": (("publish yank", "publishes"),),
    "poetry": (("publish", "publishes"),),
    "hatch": (("publish", "publishes"),),
    "pdm": (("publish", "publishes"),),
    "uv": (("publish", "publishes"),),
    "flit": (("publish", "publishes"),),
    "gem": (("push yank", "publishes"),),
    "twine": (("upload", "publishes"),),
    "docker": (("push", "publishes"), ("prune rm rmi down", "deletes containers, images or volumes")),
    "podman": (("push", "publishes"), ("prune rm rmi", "deletes containers, images or volumes")),
    "kubectl": (("delete apply create replace patch edit scale drain exec", "acts on a cluster"),),
    "aws": (("", "acts on a cloud"),),
    "gcloud": (("", "acts on a cloud"),),
    "az": (("", "acts on a cloud"),),
    "systemctl": (("start stop restart enable disable mask kill isolate poweroff reboot", "changes services"),),
    "service": (("start stop restart", "changes services"),),
    "gio": (("trash remove", "deletes files"),),
    "redis-cli": (("flushall flushdb FLUSHALL FLUSHDB", "deletes data"),),
}
_READING_GITHUB = ("view", "list", "status", "diff", "checks", "search", "browse", "watch", "download")
_COMPUTED = ("rm", "rmdir", "mv", "unlink")
_READERS = names(
    "grep egrep fgrep rg wc head tail cat ls file stat du md5sum sha256sum basename dirname echo test"
)
_EDITORS = names("vi vim nvim ex ed emacs nano")
# The shell's own that take the name of a variable, in whose index commands are run.
_EVALUATING = names("let read unset declare typeset local export readonly mapfile readarray getopts")
_EVALUATED = re.compile(r"\[.*(?:\$\(|`)")
_DASHES = "‐‑‒–—―−﹘﹣－"
_INVISIBLE = ("Cf", "Zs", "Zl", "Zp")
_DISGUISING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def destruction(part: SimpleCommand) -> list[str]:
    """Why `part`, which is unwrapped, needs asking about, wherever its paths lead."""
    if not part.spoken:
        return []
    name, arguments = part.name, part.words[1:]
    if name is None:
        return ["it runs a program whose name is computed"]
    reasons = _lookalikes(part)
    if name in _ALWAYS:
        reasons.append(f"`{name}` {_ALWAYS[name]}")
    if name.startswith("mkfs"):
        reasons.append(f"`{name}` formats a disk")
    reasons += [
        f"`{name}` {reason}"
        for options, reason in _SOMETIMES.get(name, ())
        if not options or has(arguments, options)
    ]
    if name in _COMPUTED and any(_is_computed(word) for word in part.spoken[1:]):
        reasons.append(f"`{name}` acts on files whose names are computed")
    if name in ("find", "fd", "fdfind"):
        reasons += _for_each(arguments)
    if name == "kill" and ("-1" in arguments[1:] or "1" in arguments or "0" in arguments[1:]):
        reasons.append("`kill` would reach processes of others")
    takes_name = name in _EVALUATING or (name in ("printf", "test", "[") and "-v" in arguments)
    if takes_name and any(_EVALUATED.search(word.spelled) for word in part.spoken[1:]):
        reasons.append(f"`{name}` evaluates a text in which a command stands")
    if name == "gh" and arguments[:1] not in ((), ("help",), ("--version",)) and arguments[1:2]:
        reasons += [] if arguments[1] in _READING_GITHUB else ["`gh` acts on a server"]
    if name in _EDITORS and any("!" in (word or "!") for word in arguments):
        reasons.append(f"`{name}` can run other programs")
    if name == "git":
        reasons += git_reasons(arguments)
    return reasons + _printed_programs(part)


def _printed_programs(part: SimpleCommand) -> list[str]:
    """Shells and interpreters that run what something else prints."""
    name = part.name or ""
    if name not in (*SHELLS, "source", ".") and not INTERPRETERS.match(name):
        return []
    from_file = any(word.spelled.startswith("<(") for word in part.spoken[1:] + part.reads)
    if from_file or (part.is_fed_by_program and not has_script(part)):
        return ["it runs what another program prints"]
    return []


def _for_each(arguments: tuple[str | None, ...]) -> list[str]:
    """`find … -exec COMMAND`: harmless where the command only reads."""
    for index, word in enumerate(arguments):
        if word in ("-exec", "-execdir", "-x", "-X", "--exec", "--exec-batch"):
            following = arguments[index + 1] if index + 1 < len(arguments) else None
            if following not in _READERS:
                return ["`find` acts on every file it finds"]
    return []


def _is_computed(word: Word) -> bool:
    return word.value is None or (not word.is_quoted and re.search(r"(?<!\\)[*?\[{]", word.spelled) is not None)


def _lookalikes(part: SimpleCommand) -> list[str]:
    """Characters by which a command is another one than it seems."""
    name = part.spoken[0].value or ""
    if not name.isascii():
        return [f"the name {name!a} has characters that only look like others"]
    for word in part.spoken[1:]:
        if word.is_quoted:
            continue
        if word.spelled[:1] in _DASHES:
            return [f"{word.spelled!a} begins with a character that only looks like a hyphen"]
        if any(unicodedata.category(character) in _INVISIBLE for character in word.spelled.replace(" ", "")):
            return [f"{word.spelled!a} has characters that cannot be seen"]
    return []


def is_disguised(command: str) -> bool:
    """Whether characters in it change what a terminal shows of it, or in which order."""
    return _DISGUISING.search(command) is not None
