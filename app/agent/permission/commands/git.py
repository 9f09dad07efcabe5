"""What a git command destroys, publishes or runs, in words. Pure."""

from collections.abc import Sequence

from app.agent.permission.commands.options import has, names

# Before the subcommand, and of no consequence.
_HARMLESS = names("--no-pager -P --no-optional-locks --literal-pathspecs --no-replace-objects --paginate -p")
# How variables begin that say what git runs, as `git -c` does.
CONFIGURING = ("GIT_CONFIG", "GIT_EXEC_PATH", "GIT_TEMPLATE_DIR")
_DESTRUCTIVE: dict[str, tuple[str | None, str]] = {
    "push": (None, "publishes commits"),
    "send-email": (None, "publishes commits"),
    "svn": (None, "acts on another repository"),
    "p4": (None, "acts on another repository"),
    "reset": ("--hard --merge --keep", "discards changes"),
    "clean": (None, "deletes untracked files"),
    "restore": (None, "discards changes"),
    "checkout": (None, "can discard changes"),
    "checkout-index": ("-f --force", "discards changes"),
    "read-tree": (None, "can discard changes"),
    "commit": ("--amend", "rewrites history"),
    "rm": ("-f --force", "deletes changed files"),
    "switch": ("-f --force --discard-changes -C --force-create", "discards changes"),
    "branch": ("-D -d --delete -M -m --move -f --force -C", "deletes or moves a branch"),
    "tag": ("-d --delete -f --force", "deletes or moves a tag"),
    "stash": (None, "puts changes away or discards them"),
    "reflog": ("expire delete", "discards history"),
    "gc": ("--prune --aggressive", "discards history"),
    "prune": (None, "discards history"),
    "filter-branch": (None, "rewrites history"),
    "filter-repo": (None, "rewrites history"),
    "fast-import": (None, "rewrites history"),
    "rebase": (None, "rewrites history"),
    "replace": (None, "rewrites history"),
    "update-ref": (None, "rewrites history"),
    "symbolic-ref": (None, "can move a branch"),
    "worktree": ("remove prune move", "deletes or moves a work tree"),
    "submodule": ("foreach deinit -f --force", "runs a command in every submodule, or discards one"),
    **dict.fromkeys(("merge", "am", "cherry-pick", "revert"), ("--abort --skip", "discards changes")),
    "bisect": ("run", "runs a command many times"),
    "difftool": (None, "runs another program"),
    "mergetool": (None, "runs another program"),
    "grep": ("-O --open-files-in-pager", "runs another program"),
    "diff": ("--ext-diff", "runs another program"),
    "remote": ("add set-url remove rm rename set-head", "changes where commits come from and go to"),
    "credential": (None, "hands out passwords"),
    "update-index": ("--assume-unchanged --skip-worktree", "hides changes from git"),
}
# What git itself has besides and that neither destroys nor publishes. Any other name may be an alias.
_KNOWN = names("""
    add am annotate apply archive blame bundle cat-file check-attr check-ignore check-mailmap
    check-ref-format cherry cherry-pick clone commit-tree config count-objects describe diff-files
    diff-index diff-tree fetch for-each-ref format-patch fsck hash-object help init
    interpret-trailers log ls-files ls-remote ls-tree mailinfo mailsplit merge merge-base merge-file
    merge-tree mktag mktree mv name-rev notes pack-refs patch-id pull range-diff repack request-pull
    rev-list rev-parse revert shortlog show show-branch show-ref sparse-checkout stage status
    stripspace var verify-commit verify-pack verify-tag version whatchanged write-tree
""")


def git_reasons(arguments: Sequence[str | None]) -> list[str]:
    """Why `git` with these arguments needs asking about."""
    rest = list(arguments)
    while rest and rest[0] is not None and rest[0].startswith("-"):
        if rest[0] in ("--version", "--help", "--exec-path", "-h", "-v"):
            return []
        if rest[0] not in _HARMLESS | {"-C"}:
            return ["git is given options of its own, which can run programs or act elsewhere"]
        # Where -C leads is looked at like any path.
        del rest[: 2 if rest[0] == "-C" else 1]
    if not rest:
        return []
    name, arguments = rest[0], rest[1:]
    if name is None:
        return ["it runs a git command whose name is computed"]
    if name == "config":
        return _config(arguments)
    rule = _DESTRUCTIVE.get(name)
    if rule is None:
        return [] if name in _KNOWN else [f"`git {name}` is none of git's own commands: it may be an alias"]
    if name == "checkout" and arguments[:1] == ["-b"] and not has(arguments, "-f --force"):
        return []
    if name == "clean" and has(arguments, "-n --dry-run"):
        return []
    if name == "restore" and has(arguments, "-S --staged") and not has(arguments, "-W --worktree"):
        return []
    if name == "stash" and arguments[:1] in (["list"], ["show"]):
        return []
    options, reason = rule
    if options is None or has(arguments, options):
        return [f"`git {name}` {reason}"]
    return []


def _config(arguments: Sequence[str | None]) -> list[str]:
    """Reading settings is harmless; setting them decides what git runs."""
    if has(arguments, "--get --get-all --get-regexp --list -l --get-urlmatch --show-origin get list"):
        return []
    plain = [word for word in arguments if word is None or not word.startswith("-")]
    if len(plain) < 2 and not has(arguments, "--unset --unset-all --edit -e --remove-section --rename-section"):
        return []
    where = " outside the workspace" if has(arguments, "--global --system") else ""
    return [f"`git config` changes git's settings{where}"]
