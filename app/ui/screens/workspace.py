"""The three panes, how they fold, and what passes between them."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.markup import escape
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from app.agent.events import AgentEvent
from app.agent.port import AgentPort
from app.errors import TidegateError
from app.model.events import EngineStatus, Timings
from app.review.desk import AgentDesk, SourceDesk
from app.review.model import FileChange
from app.review.sources import STAGED, WORK_TREE, Sources
from app.ui.actions import Scope, bindings, key_label
from app.ui.keymap import Keymap, keys_of
from app.ui.panes.agent import AgentPane
from app.ui.panes.review import ReviewPane
from app.ui.panes.tree import FileTree
from app.ui.panes.turns import FilesTouched, Replied, Replying, TurnChanged
from app.ui.panes.viewer import ViewerPane
from app.ui.ports import Ports
from app.ui.screens.rewind import Rewind
from app.ui.screens.slash_commands import SlashCommands
from app.ui.text import visible
from app.ui.widgets.hint_line import HintLine
from app.ui.widgets.permission_prompt import PermissionPrompt
from app.ui.widgets.status_line import StatusFacts, StatusLine
from app.workspace.watch import ANYTHING

WIDE, MEDIUM = 140, 100  # columns from which three panes are comfortable, and from which they are possible

_SILENT_AFTER = 3.0  # seconds without a word from the model, after which that is said

_MOST_REMEMBERED = 500  # messages of earlier sessions in the history


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class WorkspaceScreen(Screen[None]):
    """Files, centre and agent."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("workspace"))
    AUTO_FOCUS = None  # who gets the focus depends on what was asked for, and is decided below

    def __init__(self, ports: Ports, keymap: Keymap, show_file: str | None, session: str | None = None) -> None:
        super().__init__()
        self._ports = ports
        self._keymap = keymap
        self._show_file = show_file
        self._session = session
        self._main = "agent"  # of centre and agent, the one that is shown where there is room for one
        self._hides_tree = False  # where there is room for it
        self._wants_tree = False  # where there is not
        self._zoomed: str | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._clock: Timer | None = None
        self._working_since = 0.0
        self._reading_status = False
        self._read_status_again = False
        sources = Sources(ports.workspace.root, ports.review)
        self.files = FileTree(ports.workspace, id="tree")
        self.viewer = ViewerPane(ports.workspace, keymap, id="viewer")
        self.review = ReviewPane(
            ports.review,
            [
                AgentDesk(ports.review, ports.workspace.root),
                *(SourceDesk(source, sources, ports.review) for source in (WORK_TREE, STAGED)),
            ],
            ports.workspace.root,
            suggest=self._suggest_message,
            id="review",
        )
        self.agent = AgentPane(ports.workspace, id="agent")
        self.slash_commands = SlashCommands(self, ports.workspace.root)
        self.rewind = Rewind(self)
        self._panes = {
            name: Container(id=f"{name}-pane", classes="pane") for name in ("tree", "centre", "agent")
        }
        self._status_line = StatusLine(StatusFacts(ports.engine.status), id="status")
        self._hint_line = HintLine(keymap, id="hints")
        self.switcher = ContentSwitcher(id="centre", initial="viewer")

    def compose(self) -> ComposeResult:
        with Horizontal(id="panes"):
            with self._panes["tree"]:
                yield self.files
            with self._panes["centre"], self.switcher:
                yield self.viewer
                yield self.review
            with self._panes["agent"]:
                yield self.agent
        yield self._status_line
        yield self._hint_line

    def on_mount(self) -> None:
        self._panes["tree"].border_title = escape(visible(self._ports.workspace.root.name)) or "/"
        self._panes["agent"].border_title = "Agent"
        self._title_centre()
        self.agent.greet(self._greeting(), self.key("workspace.go_on"))
        self._unsubscribe = self._ports.engine.subscribe(self._engine_changed)
        self._fold()
        if self._show_file is not None:
            self.open_file(self._show_file)
        else:
            self.agent.prompt.focus()
        # The first frame is painted before anything slow begins.
        self.call_after_refresh(self._begin)

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
            f"{self.key('workspace.review')} reviews what the agent changed, "
            f"{self.key('workspace.cancel')} stops it, {self.key('prompt.mode')} sets how freely it works, "
            f"{self.key('workspace.files')} shows the files, {self.key('app.palette')} finds anything, "
            f"{self.key('app.help')} lists every key."
        )

    def key(self, action_id: str) -> str:
        """The first key that does `action_id`, as a person writes it."""
        return key_label(keys_of(action_id, self._keymap)[0])

    def _begin(self) -> None:
        self._engine_changed(self._ports.engine.status)
        self.run_worker(self._ports.engine.start(), group="engine")
        self.run_worker(self._begin_session(), group="agent")
        self.read_git_status()
        self.run_worker(self._watch(), group="watch")

    async def _begin_session(self) -> None:
        session = self._session
        try:
            if session is not None:
                try:
                    await self.connect_agent(session)
                except TidegateError as error:
                    self.agent.tell(f"{error}. This is a new session.", is_error=True)
                    session = None
            if session is None:
                await self.connect_agent(None)
            last, said = await asyncio.to_thread(self._look_back)
        except TidegateError as error:
            self.agent.refuse(str(error))
            return
        self.agent.prompt.remember(said)
        if last is not None and self._session is None:
            self.agent.offer(*last, self.key("workspace.sessions"))

    def _look_back(self) -> tuple[tuple[str, float] | None, list[str]]:
        """The last session's title and when it was used, and what was said in all of them."""
        from app.agent.session_index import last_said, sessions  # noqa: PLC0415  the first frame does not wait

        root = self._ports.workspace.root
        last = next(sessions(root), None)
        return (last.title, last.used) if last is not None else None, last_said(root, _MOST_REMEMBERED)

    async def connect_agent(self, session: str | None) -> None:
        """Talk to an agent in a new session or in an old one. Raises TidegateError; then all is as before."""

        def open_it() -> tuple[AgentPort, tuple[AgentEvent, ...]]:
            agent = self._ports.agent(self.agent, session)
            return agent, agent.history() if session is not None else ()

        # In a thread, for what it imports and opens.
        agent, history = await asyncio.to_thread(open_it)
        await self.agent.connect(agent, history)
        self._facts(mode=agent.mode)
        # The first message shall not have to wait for them.
        self.run_worker(agent.start_servers(), group="servers")

    async def _suggest_message(self, changes: Sequence[FileChange]) -> str:
        from app.agent.commit_message import suggest_message  # noqa: PLC0415  the first frame does not wait for it

        return await suggest_message(self._ports.engine, changes)

    async def on_unmount(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
        await self.agent.aclose()
        await self._ports.engine.aclose()

    # Folding.

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        self._fold()

    def _fold(self) -> None:
        """Show as many panes as there is room for, each as wide as it can use."""
        width, height = self.app.size
        tree, centre, agent = self._panes.values()
        self.set_class(height < 12, "short")
        self.set_class(width < 44 or height < 7, "tiny")
        shown = {"tree", "centre", "agent"}
        if self._zoomed is not None:
            shown = {self._zoomed}
        elif width >= MEDIUM:
            shown -= {"tree"} if self._hides_tree else set()
        else:
            shown = {self._main}
            if self._wants_tree:
                shown = {"tree"} if width < 60 else {"tree", self._main}
        for name, pane in (("tree", tree), ("centre", centre), ("agent", agent)):
            pane.display = name in shown
        narrow = 24 if width >= 120 or width < MEDIUM else 20
        tree.styles.width = "1fr" if shown == {"tree"} else (32 if width >= WIDE else narrow)
        agent.styles.width = "1fr" if "centre" not in shown else max(36, min(84, round(width * 0.35)))
        centre.styles.width = "1fr"

    def _reveal(self, pane: str) -> None:
        """Make sure that `pane` is on the screen."""
        if self._zoomed is not None and self._zoomed != pane:
            self._zoomed = pane
        if pane == "tree":
            self._hides_tree, self._wants_tree = False, True
        else:
            self._main = pane
            if self.app.size.width < MEDIUM:
                self._wants_tree = False
        self._fold()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        pane = self._pane_of(event.widget)
        self._mark_focused(pane)
        if pane in ("centre", "agent"):
            self._main = pane
        self._hint_line.show(self._scopes_of(event.widget))

    @staticmethod
    def _pane_of(widget: Widget) -> str | None:
        for node in widget.ancestors_with_self:
            if node.id in ("tree-pane", "centre-pane", "agent-pane"):
                return node.id.removesuffix("-pane")
        return None

    @staticmethod
    def _scopes_of(widget: Widget) -> tuple[Scope, ...]:
        by_id: dict[str, Scope] = {
            "tree": "tree",
            "viewer": "viewer",
            "review": "review",
            "transcript": "transcript",
            "prompt": "prompt",
            "permission": "permission",
        }
        found = [by_id[node.id] for node in widget.ancestors_with_self if node.id in by_id]
        return (*found[:1], "app")

    # Going places.

    def action_show_files(self) -> None:
        self._reveal("tree")
        self.files.focus()

    def action_toggle_tree(self) -> None:
        if self._panes["tree"].display:
            had_focus = self.files.has_focus
            self._hides_tree, self._wants_tree = True, False
            if self._zoomed == "tree":
                self._zoomed = None
            self._fold()
            if had_focus:
                self._focus_main()
        else:
            self.action_show_files()

    def _focus_main(self) -> None:
        if self._main == "agent":
            self.action_show_agent()
        else:
            self.action_show_centre()

    def action_show_viewer(self) -> None:
        self._show("viewer")

    def action_show_review(self) -> None:
        self._show("review")

    def action_show_centre(self) -> None:
        self._show(self.switcher.current or "viewer")

    def _show(self, name: str) -> None:
        self._reveal("centre")
        self._switch(name)
        pane = self.query_one(f"#{name}")
        views = (widget for widget in pane.query("LineView").results(Widget) if widget.display)
        focusable = next(views, pane if pane.can_focus else None)
        if focusable is not None:
            focusable.focus()
        else:
            self.set_focus(None)
            self._mark_focused("centre")
            self._hint_line.show(("app",))

    def _mark_focused(self, pane: str | None) -> None:
        """Show by its border which pane the user is in, though perhaps nothing in it can take a key."""
        for name, container in self._panes.items():
            container.set_class(name == pane, "focused")

    def _switch(self, name: str) -> None:
        self.switcher.current = name
        self._title_centre()

    def action_show_agent(self) -> None:
        self._reveal("agent")
        self.agent.main_widget.focus()

    def action_zoom(self) -> None:
        if self._zoomed is not None:
            self._zoomed = None
        else:
            focused = self.focused
            self._zoomed = (self._pane_of(focused) if focused is not None else None) or self._main
        self._fold()

    def action_show_model(self) -> None:
        from app.ui.screens.model import ModelScreen  # noqa: PLC0415

        self.app.push_screen(ModelScreen(self._ports.engine))

    def action_cycle_mode(self) -> None:
        self.agent.cycle_mode()

    def action_go_on(self) -> None:
        self.agent.turns.go_on()

    async def action_restart_engine(self) -> None:
        self.run_worker(self._ports.engine.restart(), group="engine")

    def action_cancel(self) -> None:
        """Leave what is innermost: a field that is open, then the turn, then a zoomed pane or the tree."""
        if self.viewer.leave_input() or self.review.leave_mode():
            return
        if self.agent.permission.leave_comment() or self.agent.turns.cancel():
            return
        if self._zoomed is not None:
            self.action_zoom()
        elif self._wants_tree and self.app.size.width < MEDIUM:
            self.action_toggle_tree()

    # Files, git and the disk.

    def open_file(self, path: str, line: int = 1) -> None:
        """Show a file in the centre."""
        self.viewer.open(path, line)
        self._reveal("centre")
        self._switch("viewer")

    def on_file_tree_file_chosen(self, event: FileTree.FileChosen) -> None:
        self.open_file(event.path)

    def on_viewer_pane_opened(self, event: ViewerPane.Opened) -> None:
        self._title_centre()
        if self.switcher.current == "viewer" and event.document.text is not None:
            view = self.viewer.query_one("#file-view")
            if self.focused is None or self.focused is self.files or self.review in self.focused.ancestors:
                view.focus()

    def on_review_pane_open_wanted(self, event: ReviewPane.OpenWanted) -> None:
        self.open_file(event.path, event.line)
        self.run_worker(self.files.reveal(event.path), group="reveal", exclusive=True)

    def on_file_tree_reload_wanted(self) -> None:
        self.read_git_status()

    def read_git_status(self) -> None:
        """Read git's status in a thread; asked for again meanwhile, it is read once more."""
        if self._reading_status:
            self._read_status_again = True
            return
        self._reading_status = True
        self.run_worker(self._read_git_status(), group="status")

    async def _read_git_status(self) -> None:
        try:
            while True:
                self._read_status_again = False
                status = await asyncio.to_thread(self._ports.workspace.status)
                self.files.set_status(status)
                branch = None
                if status is not None:
                    branch = status.branch or (status.head[:8] if status.head else None)
                self._facts(
                    branch=branch,
                    operation=status.operation if status is not None else None,
                    has_git=status is not None,
                )
                if not self._read_status_again:
                    return
        except TidegateError as error:
            self.app.notify(str(error), severity="warning")
        finally:
            self._reading_status = False

    async def _watch(self) -> None:
        try:
            async for paths in self._ports.workspace.watch():
                self._disk_changed(paths)
        except TidegateError as error:
            self.app.notify(str(error), severity="warning")

    def _disk_changed(self, paths: Collection[str]) -> None:
        self.files.changed_on_disk(paths)
        self.read_git_status()
        if ANYTHING in paths or self.viewer.path in paths:
            self.viewer.reload()
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
        if not event.running:
            self.review.reload()
            self.read_git_status()

    def on_agent_pane_files_touched(self, event: FilesTouched) -> None:
        self._disk_changed(event.paths)
        self.review.reload()
        looking = self.focused is not None and self.viewer in self.focused.ancestors
        if not looking:
            self._switch("review")

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

    def on_agent_pane_mode_changed(self) -> None:
        self._facts(mode=self.agent.mode)

    def on_agent_pane_new_message(self) -> None:
        if self._ports.engine.status.phase == "absent":
            self.action_show_model()

    def on_permission_prompt_shown(self, event: PermissionPrompt.Shown) -> None:
        self._facts(is_asking=event.asking)
        self._title_agent()

    def on_review_pane_counted(self, event: ReviewPane.Counted) -> None:
        if self.review.desk.source == "":
            self._facts(pending_hunks=event.total - event.decided)
        self._hint_line.rename(self.review.hint_names)
        self._title_centre()

    def on_review_pane_disk_changed(self) -> None:
        self.read_git_status()
        self.viewer.reload()

    def _engine_changed(self, status: EngineStatus) -> None:
        if status.given_up and status.given_up != self._status_line.facts.engine.given_up:
            self.agent.tell(status.given_up)
        self._facts(engine=status)
        self.agent.banner.show(status, self.key("workspace.restart_engine"), self.key("workspace.model"))
        if status.phase == "absent" and isinstance(self.app.screen, WorkspaceScreen):
            self.action_show_model()

    def _facts(self, **changes: object) -> None:
        self._status_line.show(replace(self._status_line.facts, **changes))  # type: ignore[arg-type]

    def _title_centre(self) -> None:
        pane = self._panes["centre"]
        path = self.viewer.path
        desk = "" if self.review.desk.source == "" else f" of {self.review.desk.title}"
        count = f" {self.review.decided}/{self.review.total}" if self.review.total else ""
        names = {"viewer": visible(path) if path is not None else "File", "review": f"Review{desk}{count}"}
        pane.border_title = Content(" · ").join(
            Content.from_markup(
                f"[@click=screen.show_{name}]{'[b]' if name == self.switcher.current else '[dim]'}$words[/][/]",
                words=words,
            )
            for name, words in names.items()
        )
        is_review = self.switcher.current == "review" and self.review.total
        decided = f"{self.review.decided} of {self.review.total} decided"
        pane.border_subtitle = decided if is_review else self._describe_file()

    def _describe_file(self) -> str:
        document = self.viewer.document
        if document is None or document.text is None:
            return ""
        parts = [document.encoding] if document.encoding != "utf-8" else []
        parts += ["BOM"] if document.has_bom else []
        parts += ["CRLF"] if document.line_ending == "\r\n" else []
        return " ".join(parts)

    def _title_agent(self) -> None:
        pane = self._panes["agent"]
        if self.agent.permission.is_asking:
            pane.border_title = "Agent · [b $warning]asks you[/]"
        elif self.agent.is_working:
            silent = self.agent.turns.silent_seconds or 0.0
            word, seconds = "working", time.monotonic() - self._working_since
            if silent >= _SILENT_AFTER:
                word, seconds = "waiting for the model", silent
            pane.border_title = f"Agent · [$accent]{word}[/] {_duration(seconds)} [dim]Esc stops[/]"
        else:
            pane.border_title = "Agent"
