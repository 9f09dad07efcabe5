"""The workspace as an application: its screen in front of its ports."""

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.dom import DOMNode

from app.agent.port import AgentPort, PermissionAsker
from app.model.catalogue.catalogue import ModelChoice, choose_model
from app.model.engine.open import open_engine
from app.model.port import EnginePort
from app.review.late import open_late
from app.review.port import ReviewPort
from app.settings.settings import Mode, Settings, remember
from app.ui.agents.modes import OWN
from app.ui.attention.attention import Attention
from app.ui.background import begin_again
from app.ui.base import ActionApp, PaletteCommand
from app.ui.dialogs.choice import Choice
from app.ui.dialogs.confirm import Confirm
from app.ui.drawing.text import visible
from app.ui.keys.actions import Scope
from app.ui.keys.keymap import Keymap, load_keymap
from app.ui.panes.turns import TurnChanged
from app.ui.ports import OpenAgent, Ports, TakesKeys, beginning_in
from app.ui.screens.workspace import WorkspaceScreen
from app.ui.slash import SLASH_COMMANDS
from app.ui.start.first_look import FirstLook
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from app.language.servers import LanguageServers
    from app.ui.agents.places import Agents
    from app.ui.screens.model import ModelScreen


class Onward(Enum):
    """Where to go from a workspace, other than to one with another model."""

    PRACTICE = "the practice range"
    NEXT_TASK = "another practice task"


class TidegateApp(ActionApp[str | Onward | None]):
    """The workspace. Ends with None, with the name of the model to open the workspace with again, or with
    another place to go to. `screen` makes the screen, where it is not to be the plain workspace's."""

    DEFAULT_MODE = OWN
    CSS_PATH: ClassVar[list[str]] = ["styles.tcss", "workspace.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        ports: Ports,
        *,
        keymap: Keymap | None = None,
        settings: Settings | None = None,
        show_file: str | None = None,
        session: str | None = None,
        notices: tuple[str, ...] = (),
        screen: "Callable[[TidegateApp], WorkspaceScreen] | None" = None,
        ports_of: "Callable[[Path], Ports] | None" = None,
    ) -> None:
        super().__init__(keymap=keymap, settings=settings, notices=notices)
        self._ports = ports
        self.attention = Attention(ports.workspace.root.name, self.write_to_terminal)
        self._make_screen = screen
        self._show_file = show_file
        self.session = session
        """The session to begin with; when another model was chosen, the one that was open then."""

        self._ports_of = ports_of
        self._own_screen: WorkspaceScreen | None = None
        self._agents: Agents | None = None
        # A session of before is not how the next one begins, nor is the practice range.
        begins_plain = session is None and screen is None
        self._first_look = FirstLook(self, self._plain_screen) if begins_plain else None
        # Keys that come before there is anybody whom they are for.
        self._early: list[events.Key | events.Paste] | None = []
        self.add_mode(OWN, self._open_own_screen)

    def _open_own_screen(self) -> WorkspaceScreen:
        self._own_screen = (
            self._make_screen(self)
            if self._make_screen is not None
            else WorkspaceScreen(self._ports, self.user_keymap, self._show_file, self.session)
        )
        return self._own_screen

    def _plain_screen(self) -> WorkspaceScreen | None:
        is_on_top = bool(self.screen_stack) and self.screen is self._own_screen  # at the end there is none
        return self._own_screen if is_on_top else None

    def on_unmount(self) -> None:
        if self._first_look is not None and self._own_screen is not None:
            self._first_look.end(self._own_screen)

    def on_mount(self) -> None:
        self.run_worker(self.attention.learn(), group="attention")
        self.tell_notices()

    def use_settings(self, settings: Settings) -> None:
        super().use_settings(settings)
        self.attention.end()
        self.attention.begin(settings)
        for screen in self._workspace_screens:
            screen.agent.prompt.use_settings()

    # What the window says, and how it calls.

    def enter_terminal(self) -> None:
        self.attention.begin(self.settings)

    def leave_terminal(self) -> None:
        self.attention.end()

    def on_agent_pane_turn_changed(self, event: TurnChanged) -> None:
        is_working = event.running or any(not one.agent.turns.is_idle for one in self._workspace_screens)
        self.attention.works(is_working, is_focused=self.app_focus)

    def on_permission_prompt_shown(self, _event: PermissionPrompt.Shown) -> None:
        questions = [one.agent.permission.words for one in self._workspace_screens]
        words = next(filter(None, questions), "")
        self.attention.asks(bool(words), words, is_focused=self.app_focus)

    @property
    def workspace_screen(self) -> WorkspaceScreen | None:
        """The screen with the panes that is in front, the user's own or that of an agent beside it."""
        stack = self._screen_stacks.get(self.current_mode, ())
        return next((screen for screen in stack if isinstance(screen, WorkspaceScreen)), None)

    @property
    def _workspace_screens(self) -> list[WorkspaceScreen]:
        if self._agents is not None:
            return list(self._agents.screens.values())
        return [self._own_screen] if self._own_screen is not None else []

    def target_of(self, scope: str) -> DOMNode | None:
        """Whom an action of `scope` is for, if it is there."""
        screen = self.workspace_screen
        if scope == "app":
            return self
        if scope == "practice":
            return screen if screen is not None and screen.is_practice else None
        if screen is None or scope == "workspace":
            return screen
        return next(iter(screen.query(f"#{'terminal' if scope == 'shell' else scope}")), None)

    def scope_here(self) -> Scope | None:
        screen = self.workspace_screen
        return screen.hint_line.scopes[0] if screen is self.screen and screen.hint_line.scopes else None

    def reveal(self, scope: str) -> None:
        screen = self.workspace_screen
        pane = "viewer" if scope == "editor" else scope
        if screen is not None and pane in ("viewer", "review") and screen.switcher.current != pane:
            screen.action_show_review() if pane == "review" else screen.action_show_viewer()

    def palette_commands(self) -> Iterator[PaletteCommand]:
        screen = self.workspace_screen
        for command in SLASH_COMMANDS if screen is not None else ():
            if not command.action:
                run = partial(self.call_later, self._give, f"/{command.name}", command.words)
                yield PaletteCommand(command.description, command.name, f"Message  /{command.name}", run)

    palette_words: ClassVar[str] = "An action, a file, a symbol"

    def is_of_use(self, action_id: str) -> bool:
        screen = self.workspace_screen
        return screen is None or screen.is_of_use(action_id)

    async def palette_found(self, query: str) -> list[PaletteCommand]:
        screen = self.workspace_screen
        if screen is None:
            return []
        found = await screen.finding.named(query)
        return [PaletteCommand(name, "", where, partial(self.call_later, go)) for name, where, go in found]

    def palette_fallback(self, query: str) -> PaletteCommand | None:
        screen = self.workspace_screen
        if screen is None:
            return None
        run = partial(self.call_later, screen.finding.find_text, query)
        return PaletteCommand(f"Search for “{query}”", "", "in all files", run)

    def _give(self, text: str, words: str) -> None:
        """Carry out a command, or let the user write the words without which it means nothing."""
        screen = self.workspace_screen
        assert screen is not None
        if not words or words.startswith("["):
            screen.run_worker(screen.slash_commands.do(text), group="slash")
        else:
            screen.action_show_agent()
            screen.agent.prompt.set_draft(f"{text} ")

    def action_help_quit(self) -> None:
        stop, leave = self.key_of("workspace.cancel"), self.key_of("app.quit")
        self.notify(f"{stop} stops the agent, {leave} quits.", timeout=3)

    def action_leave(self) -> None:
        if self._has_unsaved:
            begin_again(self, "leave", self._leave_unsaved, None)
            return
        working = sum(screen.agent.is_working for screen in self._workspace_screens)
        if not working:
            self.exit()
            return
        who = "The agent is" if working == 1 else f"{working} agents are"
        question = f"{who} still working. What was said and done until now is kept."
        if not isinstance(self.screen, Confirm):
            self.push_screen(Confirm("Quit", question, "Stop it and quit", "Stay"), self._leave_if)

    @property
    def _has_unsaved(self) -> bool:
        return any(screen.viewer.editor.unsaved for screen in self._workspace_screens)

    async def _leave_unsaved(self, result: str | Onward | None) -> None:
        """End with `result`, once it is said what becomes of text that is not saved."""
        for screen in self._workspace_screens:
            if screen.viewer.editor.unsaved and not await self._save_or_drop(screen):
                return
        self.exit(result)

    async def _save_or_drop(self, screen: WorkspaceScreen) -> bool:
        """False where the user stays, or the text could not be saved."""
        editor = screen.viewer.editor
        words = "The agent is still working, and this is not saved" if screen.agent.is_working else "Not saved"
        question = f"{words}: {', '.join(map(visible, editor.unsaved))}."
        answers = {"s": "Save and quit", "d": "Drop it and quit"}
        chosen = await self.push_screen_wait(Choice("Quit", question, answers, "Stay"))
        if chosen == "d":
            editor.keeping.drop_all()
            editor.is_dropped = True
        return chosen == "d" or (chosen == "s" and await editor.save_all())

    def _leave_with(self, result: str | Onward) -> None:
        if self._has_unsaved:
            begin_again(self, "leave", self._leave_unsaved, result)
        else:
            self.exit(result)

    def _leave_if(self, yes: bool | None) -> None:
        if yes:
            self.exit()

    async def on_workspace_screen_begun(self) -> None:
        if self._first_look is not None:
            self._first_look.begin()
        early, self._early = self._early, None
        for event in early or ():
            await self.on_event(event)
        # It was off for the start (see app/commands/workspace.py), and what the start made is there to stay.
        gc.freeze()
        gc.enable()

    async def on_event(self, event: events.Event) -> None:
        if self._first_look is not None:
            self._first_look.heed(event)
        if self._early is not None and isinstance(event, events.Key | events.Paste):
            self._early.append(event)
            return
        await super().on_event(event)

    async def give(self, event: events.Key | events.Paste) -> None:
        if isinstance(event, events.Key):
            self._ports.engine.attend()
            # A shell has every key, those too that an application of ours has before its widgets.
            focused: object = self.focused
            if isinstance(focused, TakesKeys) and focused.type_key(event):
                return
        await super().give(event)

    async def on_workspace_screen_agents_wanted(self) -> None:
        if self._ports_of is None or self._own_screen is None:
            return
        if self._agents is None:
            from app.ui.agents.places import Agents  # noqa: PLC0415  most users have one agent

            own = self._own_screen
            self._agents = Agents(self, lambda: own, self._ports_of)
        self.run_worker(self._agents.show(), group="agents")

    def on_workspace_screen_agent_changed(self, event: WorkspaceScreen.AgentChanged) -> None:
        if self._agents is not None:
            self._agents.changed(event.workspace)

    def on_model_screen_chosen(self, event: "ModelScreen.Chosen") -> None:
        own = self._own_screen
        self.session = own.agent.spoken_session if own is not None else None
        self._leave_with(event.model)

    def on_model_screen_practice_chosen(self) -> None:
        self._leave_with(Onward.PRACTICE)

    def on_practice_screen_next_wanted(self) -> None:
        self._leave_with(Onward.NEXT_TASK)


def language_of(workspace: Workspace) -> "Callable[[], LanguageServers]":
    """What makes the workspace's language servers, once."""

    @cache
    def language() -> "LanguageServers":
        from app.language.servers import LanguageServers  # noqa: PLC0415  the first frame does not wait for it

        return LanguageServers(workspace)

    return language


def agent_in(
    workspace: Workspace,
    engine: EnginePort,
    review: ReviewPort,
    settings: Settings,
    language: "Callable[[], LanguageServers] | None" = None,
) -> OpenAgent:
    """What opens agents as the settings want them. They hear of problems from the servers of `language`."""

    async def check(before: Mapping[str, bytes | None]) -> str:
        from app.language.report import new_problems_report  # noqa: PLC0415

        assert language is not None
        return await new_problems_report(workspace, language(), before)

    def agent(asker: PermissionAsker, session: str | None = None) -> AgentPort:
        from app.agent.agent import open_agent  # noqa: PLC0415  the first frame does not wait for it

        return open_agent(
            workspace,
            engine,
            review,
            asker,
            mode=settings.mode,
            effort=settings.reasoning_effort,
            session=session,
            rules=settings.rules,
            servers=settings.mcp,
            is_offline=settings.offline,
            stays_awake=settings.stay_awake,
            local_servers=settings.local_servers,
            check=check if language is not None and settings.report_problems else None,
        )

    return agent


def _ports_of(choice: ModelChoice, settings: Settings, root: Path) -> Ports:
    workspace, engine, review = Workspace(root), open_engine(choice, settings), open_late(root)
    language = language_of(workspace)
    return Ports(workspace, review, engine, agent_in(workspace, engine, review, settings, language), language)


def run_workspace(
    path: Path,
    model: str | None,
    settings: Settings,
    *,
    show_file: Path | None = None,
    session: str | None = None,
    mode: Mode | None = None,
) -> int:
    """Open the workspace on the directory `path`, in a new session or in an old one by its id, and return an
    exit status. The agent begins in `mode`; without one in the session's, or the settings'.

    `model` is what --model names, None for the settings' choice. Raises TidegateError for a path, model or
    keymap that cannot be used.
    """
    keymap = load_keymap()
    workspace = Workspace(path)
    named = settings.model if model is None else model
    file = None
    if show_file is not None:
        file = workspace.locate(str(show_file)).path
    while True:
        ports_of = partial(_ports_of, choose_model(named), settings)
        ports = ports_of(workspace.root)
        app = TidegateApp(
            replace(ports, agent=beginning_in(mode, ports.agent)),
            keymap=keymap,
            settings=settings,
            show_file=file,
            session=session,
            ports_of=ports_of,
        )
        chosen = app.run()
        if chosen is None:
            return app.return_code or 0
        if isinstance(chosen, Onward):
            from app.model.catalogue.practice import practice_model  # noqa: PLC0415  only where it is wanted
            from app.practice.range.drawing import fresh_seed  # noqa: PLC0415
            from app.ui.practice import run_practice  # noqa: PLC0415

            return run_practice(fresh_seed(), None, settings, practice_model())
        remember("model", chosen)
        # The mode was said of the beginning: what the user chose later stays, with another model too.
        named, session, mode = chosen, app.session, None
