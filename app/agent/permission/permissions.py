"""May this call be made? The mode, what was granted, and what always needs the user's word."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.agent.permission.commands.grants import grant_for
from app.agent.permission.commands.judge import Judgement, judge
from app.agent.permission.commands.needs_terminal import needs_terminal
from app.agent.permission.commands.reading import only_reads
from app.agent.permission.rules import allows, applying, hidden, hidden_places, in_words
from app.agent.tools.base import Access
from app.settings.settings import Mode, Rule
from app.workspace.names import is_git_name
from app.workspace.workspace import Workspace

_PLAN = (
    "Not done: the user chose plan mode, in which files are only read. Finish with a plan in words; the user "
    "will change the mode to have it carried out."
)
_NO_TERMINAL = (
    "Not done: `{}` needs a terminal, and your commands have none. Give the command all it needs on its line "
    "(git commit -m …), use your tools for files, or ask the user to do it in the terminal pane."
)
_EDITS = "edits"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is for the user when asked, for the model when denied.

    `always` says what answering "always" would grant, `grants` is that as keys. `is_approved` is false for a
    command that nobody looked at: it is confined. `rules_to_keep` are beginnings of commands that could be
    allowed in every session: the same was asked before.
    """

    decision: Literal["allow", "ask", "deny"]
    reason: str = ""
    always: str = ""
    grants: tuple[str, ...] = ()
    is_approved: bool = True
    rules_to_keep: tuple[str, ...] = ()


class Permissions:
    """What holds in one session. `readable` are directories outside the workspace that are the agent's own;
    `rules` and `allows_local_servers` are the settings'."""

    def __init__(
        self,
        workspace: Workspace,
        mode: Mode,
        readable: tuple[Path, ...] = (),
        rules: Sequence[Rule] = (),
        allows_local_servers: bool = False,
    ) -> None:
        self._workspace = workspace
        self._readable = readable
        self._rules = rules
        self._granted: set[str] = set()
        self._asked: Counter[tuple[str, ...]] = Counter()
        self._refusal = _PLAN
        self.mode: Mode = mode
        self.allows_local_servers = allows_local_servers

    def for_reading(self, refusal: str) -> "Permissions":
        """A read-only copy that shares the grants; anything else is denied with `refusal`."""
        reading = Permissions(self._workspace, "plan", self._readable, self._rules)
        reading._granted = self._granted
        reading._refusal = refusal
        return reading

    def for_copies(self) -> "Permissions":
        """A copy that shares the grants, for work on files in memory: what the rules deny is denied, and the
        workspace's other files are written unasked."""
        copies = Permissions(self._workspace, "auto", self._readable, self._rules)
        copies._granted = self._granted
        return copies

    def grant(self, keys: tuple[str, ...]) -> None:
        """Remember what "always" granted, for the rest of the session."""
        self._granted.update(keys)

    def hidden(self, tool: str) -> Callable[[str], bool]:
        """Whether a file, by its path, is to be left out of what `tool` finds in the folders around it."""
        return hidden(self._rules, tool, self._workspace)

    def keep_hidden(self, verdict: Verdict, tool: str) -> tuple[Verdict, tuple[Path, ...]]:
        """What a command that runs unasked is not to reach, whatever it calls it, because of the rules. Where
        that is more than can be said, it is asked about. Blocks on the disk."""
        places = hidden_places(self._rules, tool, self._workspace.root, self._workspace.folds_case)
        if places is None:
            too_many = "your settings keep more files from commands than could be hidden from this one"
            return Verdict("ask", too_many), ()
        return verdict, places

    def judge(self, access: Access, tool: str) -> Verdict:
        """What is to be done about a call of `tool` that touches `access`."""
        if access.kind == "nothing" and not self._rules:
            return Verdict("allow")
        judgement = self._parted(access)
        rules = applying(self._rules, tool, access, judgement, self._workspace.folds_case)
        said = {rule.decision: rule for rule in reversed(rules)}
        if "deny" in said:
            reason = f"a rule in the user's settings denies {in_words(said['deny'])}"
            return Verdict("deny", f"Not done: {reason}.")
        verdict = self._judge(access, tool, judgement, rules)
        if "ask" in said and verdict.decision == "allow":
            return Verdict("ask", f"your settings ask about {in_words(said['ask'])}")
        return verdict

    def _parted(self, access: Access) -> Judgement:
        if access.kind != "command" or access.location is None:
            return Judgement((), ())
        return judge(access.command, access.location.absolute, self._workspace.root)

    def _judge(self, access: Access, tool: str, judgement: Judgement, rules: Sequence[Rule]) -> Verdict:
        if access.kind == "nothing":
            return Verdict("allow")
        if access.kind == "mcp":
            return self._judge_mcp(access, tool, rules)
        assert access.location is not None
        if access.kind == "read":
            return self._judge_read(access.location.absolute, access.location.is_inside)
        if self.mode == "plan":
            return Verdict("deny", self._refusal)
        if access.kind == "write":
            return self._judge_write(access.location.absolute, access.location.is_inside, rules)
        return self._judge_command(access, judgement, rules)

    def _judge_read(self, path: Path, is_inside: bool) -> Verdict:
        if is_inside or any(path.is_relative_to(place) for place in self._readable):
            return Verdict("allow")
        directory = path if path.is_dir() else path.parent
        if any(f"read {parent}" in self._granted for parent in (directory, *directory.parents)):
            return Verdict("allow")
        return Verdict(
            "ask",
            f"{path} is outside the workspace",
            f"read anything in {directory} for the rest of this session",
            (f"read {directory}",),
        )

    def _judge_write(self, path: Path, is_inside: bool, rules: Sequence[Rule]) -> Verdict:
        if not is_inside:
            return Verdict("ask", f"{path} is outside the workspace")
        if any(is_git_name(part) for part in path.relative_to(self._workspace.root).parts):
            return Verdict("ask", "git's own files would be changed")
        is_allowed = any(rule.decision == "allow" for rule in rules)
        if self.mode == "auto" or _EDITS in self._granted or is_allowed:
            return Verdict("allow")
        return Verdict(
            "ask",
            "ask mode asks before a file is changed",
            "edit any file in the workspace for the rest of this session",
            (_EDITS,),
        )

    def _judge_mcp(self, access: Access, tool: str, rules: Sequence[Rule]) -> Verdict:
        if self.mode == "plan" and not access.is_read_only:
            return Verdict("deny", self._refusal)
        if access.is_destructive:
            return Verdict("ask", "its server says that it overwrites or deletes")
        key = f"tool {tool}"
        is_allowed = any(rule.decision == "allow" for rule in rules)
        if self.mode == "auto" or key in self._granted or is_allowed:
            return Verdict("allow")
        return Verdict(
            "ask",
            "an MCP server would act, outside the sandbox",
            f"use {tool} for the rest of this session",
            (key,),
        )

    def _judge_command(self, access: Access, judgement: Judgement, rules: Sequence[Rule]) -> Verdict:
        assert access.location is not None
        drawing = needs_terminal(judgement)
        if drawing is not None:
            return Verdict("deny", _NO_TERMINAL.format(drawing))
        if not access.location.is_inside:
            return Verdict("ask", f"it runs in {access.location.absolute}, outside the workspace")
        if judgement.reasons:
            return Verdict("ask", "; ".join(judgement.reasons))
        grants = dict.fromkeys(grant_for(part) for part in judgement.parts if not allows(rules, part))
        keys = tuple(f"{'prefix' if is_prefix else 'exactly'} {text}" for text, is_prefix in grants)
        if all(key in self._granted for key in keys):
            # What was granted was seen; what it is computed to act on was not.
            return Verdict("allow", is_approved=not judgement.is_computed)
        if self.mode == "auto" or only_reads(judgement):
            return Verdict("allow", is_approved=False)
        shown = " and ".join(
            f"`{text} …`" if is_prefix else f"exactly `{text}`" for text, is_prefix in grants if f"{text}"
        )
        is_known = all(is_prefix for _, is_prefix in grants)
        rules_to_keep = tuple(text for text, _ in grants) if is_known and self._was_asked(keys) else ()
        always = f"run {shown} for the rest of this session"
        return Verdict(
            "ask",
            "ask mode asks before a command that does more than read",
            always,
            keys,
            rules_to_keep=rules_to_keep,
        )

    def _was_asked(self, keys: tuple[str, ...]) -> bool:
        """Whether the same was asked before; it was from now on."""
        self._asked[keys] += 1
        return self._asked[keys] > 1
