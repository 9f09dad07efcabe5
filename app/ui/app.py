"""The workspace as an application: its screen in front of its ports."""

from collections.abc import Callable, Iterator
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.dom import DOMNode

from app.agent.port import AgentPort, PermissionAsker
from app.model.catalogue.catalogue import choose_model
from app.model.engine.open import open_engine
from app.model.port import EnginePort
from app.review.late import open_late
from app.review.port import ReviewPort
from app.settings.settings import Mode, Settings, remember
from app.ui.base import ActionApp, PaletteCommand
from app.ui.dialogs.choice import Choice
from app.ui.dialogs.confirm import Confirm
from app.ui.drawing.text import visible
from app.ui.keymap import Keymap, load_keymap
from app.ui.ports import OpenAgent, Ports, TakesKeys
from app.ui.screens.workspace import WorkspaceScreen
from app.ui.slash import SLASH_COMMANDS
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from app.ui.screens.model import ModelScreen


class Onward(Enum):
    """Where to go from a workspace, other than to one with another model."""

    PRACTICE = "the practice range"
    NEXT_TASK = "another practice task"


class TidegateApp(ActionApp[str | Onward | None]):
    """The workspace. Ends with None, with the name of the model to open the workspace with again, or with
    another place to go to. `screen` makes the screen, where it is not to be the plain workspace's."""

    CSS_PATH: ClassVar[list[str]] = ["styles.tcss", "workspace.tcss"]  # type: ignore[assignment]

    def __init__(
        self,
        ports: Ports,
        *,
        keymap: Keymap | None = None,
        theme: str = "",
        show_file: str | None = None,
        session: str | None = None,
        notices: tuple[str, ...] = (),
        screen: "Callable[[TidegateApp], WorkspaceScreen] | None" = None,
    ) -> None:
        super().__init__(keymap=keymap, theme=theme, notices=notices)
        self._ports = ports
        self._make_screen = screen
        self._show_file = show_file
        self.session = session
        """The session to begin with; when another model was chosen, the one that was open then."""

    def on_mount(self) -> None:
        self.push_screen(
            self._make_screen(self)
            if self._make_screen is not None
            else WorkspaceScreen(self._ports, self.user_keymap, self._show_file, self.session)
        )
        self.tell_notices()

    @property
    def workspace_screen(self) -> WorkspaceScreen | None:
        """The screen with the panes."""
        return next((screen for screen in self.screen_stack if isinstance(screen, WorkspaceScreen)), None)

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
        screen = self.workspace_screen
        if screen is not None and screen.viewer.editor.unsaved:
            self.run_worker(self._leave_unsaved(screen, None), group="leave", exclusive=True)
            return
        if screen is None or not screen.agent.is_working:
            self.exit()
            return
        question = "The agent is still working. What it said and did until now is kept."
        if not isinstance(self.screen, Confirm):
            self.push_screen(Confirm("Quit", question, "Stop it and quit", "Stay"), self._leave_if)

    async def _leave_unsaved(self, screen: WorkspaceScreen, result: str | Onward | None) -> None:
        """End with `result`, once it is said what becomes of text that is not saved."""
        editor = screen.viewer.editor
        if not editor.unsaved:
            self.exit(result)
            return
        words = "The agent is still working, and this is not saved" if screen.agent.is_working else "Not saved"
        question = f"{words}: {', '.join(map(visible, editor.unsaved))}."
        answers = {"s": "Save and quit", "d": "Drop it and quit"}
        chosen = await self.push_screen_wait(Choice("Quit", question, answers, "Stay"))
        if chosen == "d":
            editor.keeping.drop_all()
            editor.is_dropped = True
        if chosen == "d" or (chosen == "s" and await editor.save_all()):
            self.exit(result)

    def _leave_with(self, result: str | Onward) -> None:
        screen = self.workspace_screen
        if screen is None or not screen.viewer.editor.unsaved:
            self.exit(result)
        else:
            self.run_worker(self._leave_unsaved(screen, result), group="leave", exclusive=True)

    def _leave_if(self, yes: bool | None) -> None:
        if yes:
            self.exit()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key):
            self._ports.engine.attend()
            # A shell has every key, those too that an application of ours has before its widgets.
            focused: object = self.focused
            if isinstance(focused, TakesKeys) and not event.is_forwarded and focused.type_key(event):
                return
        await super().on_event(event)

    def on_model_screen_chosen(self, event: "ModelScreen.Chosen") -> None:
        screen = self.workspace_screen
        self.session = screen.agent.spoken_session if screen is not None else None
        self._leave_with(event.model)

    def on_model_screen_practice_chosen(self) -> None:
        self._leave_with(Onward.PRACTICE)

    def on_practice_screen_next_wanted(self) -> None:
        self._leave_with(Onward.NEXT_TASK)


def agent_in(workspace: Workspace, engine: EnginePort, review: ReviewPort, settings: Settings) -> OpenAgent:
    """What opens agents as the settings want them."""

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
        )

    return agent


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
        engine = open_engine(choose_model(named), settings)
        review = open_late(workspace.root)

        open_agent = agent_in(workspace, engine, review, settings)

        def agent(
            asker: PermissionAsker, session: str | None = None, *, open_agent: OpenAgent = open_agent
        ) -> AgentPort:
            nonlocal mode
            opened = open_agent(asker, session)
            if mode is not None:
                # Said of the beginning: what the user chooses later stays, with another model too.
                opened.mode, mode = mode, None
            return opened

        app = TidegateApp(
            Ports(workspace, review, engine, agent),
            keymap=keymap,
            theme=settings.theme,
            show_file=file,
            session=session,
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
        named, session = chosen, app.session
