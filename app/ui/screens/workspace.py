"""What passes between the panes of the workspace: files, centre and agent."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.markup import escape
from textual.message import Message
from textual.timer import Timer

from app.errors import TidegateError
from app.model.events import EngineStatus, Timings
from app.review.desks.agent_desk import AgentDesk
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import STAGED, WORK_TREE, Sources
from app.review.model import FileChange
from app.testing.model import TestState
from app.ui.adapter_choice import tell_news
from app.ui.background import begin_again
from app.ui.base import ActionApp
from app.ui.dialogs.rewind import Rewind
from app.ui.drawing.text import visible
from app.ui.keys.actions import bindings
from app.ui.keys.keymap import Keymap
from app.ui.panes.agent import AgentPane
from app.ui.panes.review.pane import ReviewPane
from app.ui.panes.tree import FileTree
from app.ui.panes.tree_work import TreeWork
from app.ui.panes.turns import FilesTouched, Replied, Replying, TurnChanged
from app.ui.panes.viewer import ViewerPane
from app.ui.ports import Ports
from app.ui.screens.finding import Finding
from app.ui.screens.git_status import GitStatusReader
from app.ui.screens.lower import LowerScreen
from app.ui.screens.pane_titles import agent_title, centre_title
from app.ui.screens.session_opening import SessionOpening
from app.ui.screens.slash_commands import SlashCommands
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from app.ui.widgets.ask_line import AskLine
from app.ui.widgets.status_line import StatusFacts, StatusLine
from app.workspace.model import RepositoryStatus
from app.workspace.watch import ANYTHING

if TYPE_CHECKING:
    from app.agent.port import HunkPort

# What can be done in a review with nothing in it.
_WITHOUT_HUNKS = frozenset(["undo", "redo", "desk", "refresh", "rewind", "comments"])


class WorkspaceScreen(LowerScreen):
    """Files, centre and agent."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("workspace"))
    is_practice: ClassVar[bool] = False
    AUTO_FOCUS = ""  # who gets the focus depends on what was asked for, and is decided below

    def __init__(self, ports: Ports, keymap: Keymap, show_file: str | None, session: str | None = None) -> None:
        super().__init__(keymap, ports.workspace)
        self._ports = ports
        self._show_file = show_file
        self._session = session
        self._unsubscribe: Callable[[], None] | None = None
        self._clock: Timer | None = None
        self._working_since = 0.0
        self._git_status = GitStatusReader(ports, self._show_git_status, self._warn)
        sources = Sources(ports.workspace.root, ports.review)
        self.files = FileTree(ports.workspace, id="tree")
        self.tree_line = AskLine(id="tree-input")
        self.viewer = ViewerPane(ports.workspace, ports.review, keymap, id="viewer")
        self.review = ReviewPane(
            ports.review,
            [
                AgentDesk(ports.review, ports.workspace.root),
                *(SourceDesk(source, sources, ports.review) for source in (WORK_TREE, STAGED)),
            ],
            ports.workspace.root,
            suggest=self._suggest_message,
            hunks=self._hunk_work,
            id="review",
        )
        self.views = (self.viewer, self.review)
        self.agent = AgentPane(ports.workspace, id="agent")
        self._sessions = SessionOpening(self.agent, ports.agent, ports.workspace.root)
        self.slash_commands = SlashCommands(
            self.agent, self._sessions, Rewind(self.agent, self.review), ports.workspace.root, ports.engine
        )
        self.finding = Finding(self, ports.workspace)
        self._tree_work = TreeWork(
            self.files, self.tree_line, ports.workspace, ports.review, self.finding.filtered
        )
        self.status_line = StatusLine(StatusFacts(ports.engine.status), id="status")

    def on_mount(self) -> None:
        self.panes["tree"].border_title = escape(visible(self._ports.workspace.root.name)) or "/"
        self.panes["agent"].border_title = "Agent"
        self.title_centre()
        self.agent.greet(self._greeting(), self._key("workspace.go_on"))
        self._unsubscribe = self._ports.engine.subscribe(self._engine_changed)
        self.fold()
        if self._show_file is not None:
            self.open_file(self._show_file)
        else:
            self.agent.prompt.focus()
        self.call_after_refresh(self._begin)

    class Begun(Message):
        """The screen is drawn, and the focus is where keys are to go."""

    class AgentsWanted(Message):
        """The user wants to see the agents that work beside this one."""

    class AgentChanged(Message):
        """The agent of `workspace` begins, ends, asks or was answered."""

        def __init__(self, workspace: "WorkspaceScreen") -> None:
            super().__init__()
            self.workspace = workspace

    @property
    def root(self) -> Path:
        """The open directory."""
        return self._ports.workspace.root

    def action_show_agents(self) -> None:
        self.post_message(self.AgentsWanted())

    def show_beside(self, working: int, asking: int) -> None:
        """Say how many agents in other worktrees work, and how many ask."""
        self._facts(working_beside=working, asking_beside=asking)

    def on_agent_pane_command_given(self, event: AgentPane.CommandGiven) -> None:
        self.run_worker(self.slash_commands.do(event.text), group="slash")

    def on_review_pane_rewind_wanted(self) -> None:
        self.action_rewind()

    def action_rewind(self) -> None:
        self.run_worker(self.slash_commands.do("/rewind"), group="slash")

    def action_show_sessions(self) -> None:
        self.run_worker(self.slash_commands.do("/resume"), group="slash")

    def _greeting(self) -> str:
        return (
            f"{self._key('workspace.review')} reviews what the agent changed, "
            f"{self._key('workspace.cancel')} stops it, {self._key('prompt.mode')} sets how freely it works, "
            f"{self._key('workspace.files')} shows the files, {self._key('app.palette')} finds anything, "
            f"{self._key('app.help')} lists every key."
        )

    def _key(self, action_id: str) -> str:
        app = self.app
        assert isinstance(app, ActionApp)
        return app.key_of(action_id)

    def _begin(self) -> None:
        # What was typed until now is drawn before anything slow begins.
        self.app.post_message(self.Begun())
        self.app.call_later(self.call_after_refresh, self._begin_work)

    def _begin_work(self) -> None:
        self._engine_changed(self._ports.engine.status)
        self.run_worker(self._ports.engine.start(), group="engine")
        self.run_worker(self._open_session(), group="agent")
        self.read_git_status()
        self.run_worker(self._watch(), group="watch")
        if self._ports.language is not None:
            self.begin_language(self._ports.language())

    async def _open_session(self) -> None:
        await self._sessions.begin(self._session, self._key("workspace.sessions"))
        await tell_news(self._ports.engine, self.agent.tell, self._key("workspace.put_aside"))

    def _hunk_work(self) -> "HunkPort | None":
        agent = self.agent.turns.agent
        return None if agent is None else agent.hunks

    async def _suggest_message(self, changes: Sequence[FileChange]) -> str:
        from app.agent.commit_message import suggest_message  # noqa: PLC0415  the first frame does not wait for it

        return await suggest_message(self._ports.engine, changes)

    async def on_unmount(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        await self.end_language()
        await self.agent.aclose()
        await self._ports.engine.aclose()

    def action_show_model(self) -> None:
        from app.ui.screens.model import ModelScreen  # noqa: PLC0415

        self.app.push_screen(ModelScreen(self._ports.engine))

    def action_cycle_mode(self) -> None:
        self.agent.cycle_mode()

    def action_go_on(self) -> None:
        self.agent.turns.go_on()

    def action_put_adapter_aside(self) -> None:
        self.run_worker(self.slash_commands.do("/adapter aside"), group="slash")

    async def action_restart_engine(self) -> None:
        self.run_worker(self._ports.engine.restart(), group="engine")

    def action_cancel(self) -> None:
        self.leave_innermost()

    def leave_innermost(self) -> bool:
        """Leave the innermost thing: an open field, then the turn, then a zoomed pane or the tree. False if
        there was nothing."""
        if self.focused in (self.tree_line, self.files) and self._tree_work.leave():
            return True
        is_in_centre = self.focused is not None and self.pane_of(self.focused) == "centre"
        if is_in_centre and (self.viewer.leave_input() or self.review.leave_mode()):
            return True
        if self.leave_lower() or self.agent.leave_innermost() or self.folding.unzoom():
            return True
        if self.folding.covers_with_tree:
            self.action_toggle_tree()
            return True
        return False

    # Files, git and the disk.

    def open_file(self, path: str, line: int = 1, *, walks_results: bool = False) -> None:
        """Show a file in the centre."""
        self.viewer.open(path, line, walks_results=walks_results)
        self.folding.reveal("centre")
        self.switch("viewer")
        self.finding.opened(path)
        begin_again(self, "reveal", self.files.reveal, path)

    def on_file_tree_file_chosen(self, event: FileTree.FileChosen) -> None:
        self.open_file(event.path)

    def on_viewer_pane_opened(self, event: ViewerPane.Opened) -> None:
        self.title_centre()
        self.file_shown()
        if event.is_asked and self.switcher.current == "viewer" and event.document.text is not None:
            view = self.viewer.query_one("#file-view")
            if self.focused is None or self.focused is self.files or self.review in self.focused.ancestors:
                view.focus()
        self.leave_hidden()

    def on_viewer_pane_state_changed(self) -> None:
        self.panes["centre"].set_class(self.viewer.is_writing, "writing")
        self.title_centre()
        self.file_shown(is_writing=True)

    def on_review_pane_open_wanted(self, event: ReviewPane.OpenWanted) -> None:
        self.open_file(event.path, event.line)

    # Finding.

    def is_of_use(self, action_id: str) -> bool:
        """Whether an action does anything as things stand."""
        scope, _, name = action_id.partition(".")
        if scope in ("viewer", "editor"):
            return self.viewer.is_of_use(action_id)
        if scope == "review":
            is_there = bool(self.review.total) or name in _WITHOUT_HUNKS
            return is_there and self.review.hint_names.get(action_id, name) != ""
        if scope == "transcript":
            return bool(self.agent.transcript.row_count)
        if action_id == "workspace.agents":
            return not self.is_practice
        if action_id == "workspace.go_on":
            return self.agent.turns.can_go_on
        return action_id != "workspace.cancel" or self.agent.is_working

    def action_find_file(self) -> None:
        self.finding.find_file()

    def action_find_text(self) -> None:
        self.finding.find_text()

    def action_find_symbol(self) -> None:
        self.finding.find_symbol()

    def on_viewer_pane_symbols_wanted(self) -> None:
        self.finding.find_symbol(only_here=True)

    def on_viewer_pane_result_wanted(self, event: ViewerPane.ResultWanted) -> None:
        self.finding.step(event.step)

    def on_file_tree_work_wanted(self, event: FileTree.WorkWanted) -> None:
        self._tree_work.begin(event.what, event.path)

    def on_input_changed(self, event: AskLine.Changed) -> None:
        if event.input is self.tree_line:
            self._tree_work.typed(event.value)

    def on_input_submitted(self, event: AskLine.Submitted) -> None:
        if event.input is self.tree_line:
            self._tree_work.answered(event.value)

    def on_file_tree_reload_wanted(self) -> None:
        self.read_git_status()

    def read_git_status(self) -> None:
        """Read git's status in a thread."""
        self.run_worker(self._git_status.read(), group="status")

    def _show_git_status(self, status: RepositoryStatus | None) -> None:
        self.files.set_status(status)
        self.viewer.git_changed()
        branch = None if status is None else status.branch or (status.head[:8] if status.head else None)
        operation = status.operation if status is not None else None
        self._facts(branch=branch, operation=operation, has_git=status is not None)

    def _warn(self, words: str) -> None:
        self.app.notify(words, severity="warning")

    async def _watch(self) -> None:
        try:
            async for paths in self._ports.workspace.watch():
                self._disk_changed(paths)
        except TidegateError as error:
            self._warn(str(error))

    def _disk_changed(self, paths: Collection[str], by: str = "Somebody") -> None:
        self.files.changed_on_disk(paths)
        self.finding.disk_changed()
        self.read_git_status()
        self.viewer.disk_changed(None if ANYTHING in paths else paths, by)
        if not self.agent.is_working:
            self.review.reload()

    # What the panes say.

    def on_agent_pane_turn_changed(self, event: TurnChanged) -> None:
        self._facts(is_working=event.running)
        if self._clock is not None:
            self._clock.stop()
            self._clock = None
        if event.running:
            self._facts(tokens_per_second=None, accepted_per_step=None)
            self._working_since = time.monotonic()
            # Only while a turn runs: at rest, nothing ticks.
            self._clock = self.set_interval(1, self._title_agent)
        self._title_agent()
        self.post_message(self.AgentChanged(self))
        if not event.running:
            self.review.reload()
            self.read_git_status()

    def on_agent_pane_files_touched(self, event: FilesTouched) -> None:
        self._disk_changed(event.paths, "The agent")
        self.review.reload()
        looking = self.focused is not None and self.viewer in self.focused.ancestors
        if not looking:
            self.switch("review")

    def on_agent_pane_replied(self, event: Replied) -> None:
        finished = event.finished
        changed: dict[str, object] = {"cached": finished.cached_tokens, "new": None}
        if finished.prompt_tokens is not None:
            changed["context_used"] = finished.prompt_tokens + (finished.completion_tokens or 0)
            if finished.cached_tokens is not None:
                changed["new"] = finished.prompt_tokens - finished.cached_tokens
        self._facts(**changed)
        if finished.timings is not None:
            self._show_speed(finished.timings)

    def on_agent_pane_replying(self, event: Replying) -> None:
        self._show_speed(event.timings)

    def _show_speed(self, timings: Timings) -> None:
        self._facts(
            tokens_per_second=timings.predicted_per_second,
            accepted_per_step=timings.accepted_per_step,
            draft_sources=timings.draft_sources,
            expert_hit_rate=timings.expert_hit_rate,
        )

    def tests_changed(self, state: TestState) -> None:
        self._facts(tests=state)

    def problems_counted(self, errors: int, warnings: int) -> None:
        self._facts(problems=(errors, warnings))

    def on_agent_pane_mode_changed(self) -> None:
        self._facts(mode=self.agent.mode, effort=self.agent.effort)

    def on_agent_pane_new_message(self) -> None:
        if self._ports.engine.status.phase == "absent":
            self.action_show_model()

    def on_permission_prompt_shown(self, event: PermissionPrompt.Shown) -> None:
        self._facts(is_asking=event.asking)
        self._name_hints()
        self._title_agent()
        self.post_message(self.AgentChanged(self))

    def on_review_pane_counted(self, event: ReviewPane.Counted) -> None:
        if self.review.desk.source == "":
            self._facts(pending_hunks=event.total - event.decided)
        self._name_hints()
        self.title_centre()

    def _name_hints(self) -> None:
        self.hint_line.rename({**self.review.hint_names, **self.agent.permission.hint_names})

    def on_review_pane_disk_changed(self) -> None:
        self.read_git_status()
        self.viewer.disk_changed(None, "The review")

    def _engine_changed(self, status: EngineStatus) -> None:
        if status.given_up and status.given_up != self.status_line.facts.engine.given_up:
            self.agent.tell(status.given_up)
        self._facts(engine=status)
        self.agent.banner.show(status, self._key("workspace.restart_engine"), self._key("workspace.model"))
        app = self.app
        assert isinstance(app, ActionApp)
        # By itself only where it takes no key that was meant for something else; the banner names its key.
        if status.phase == "absent" and app.screen is self and not app.typed_ahead.has_begun:
            self.action_show_model()

    def _facts(self, **changes: object) -> None:
        self.status_line.show(replace(self.status_line.facts, **changes))  # type: ignore[arg-type]

    def title_centre(self) -> None:
        review, current = self.review, self.switcher.current
        pane = self.panes["centre"]
        pane.border_title = centre_title(self.viewer.title, review, current)
        is_review = current == "review" and review.total
        pane.border_subtitle = review.summary if is_review else self.viewer.facts

    def _title_agent(self) -> None:
        turns = self.agent.turns
        self.panes["agent"].border_title = agent_title(
            is_asking=self.agent.permission.is_asking,
            working=time.monotonic() - self._working_since if turns.is_working else None,
            silent=turns.silent_seconds,
        )
