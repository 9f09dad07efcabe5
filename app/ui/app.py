"""The application: themes, keys, palette, and the workspace screen in front of its ports."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode
from textual.notifications import SeverityLevel
from textual.screen import Screen

from app.agent.port import AgentPort, PermissionAsker
from app.config import Settings, remember_model
from app.model.catalogue import choose_model
from app.model.engine import open_engine
from app.model.port import EnginePort
from app.review.port import ReviewPort
from app.review.review import Review
from app.ui.actions import ACTIONS, BY_ID, SCOPE_TITLES, Action, bindings, key_label
from app.ui.keymap import Keymap, clashes, keys_of, load_keymap
from app.ui.ports import Ports
from app.ui.screens.confirm import Confirm
from app.ui.screens.help import HelpScreen
from app.ui.screens.model import ModelScreen
from app.ui.screens.workspace import WorkspaceScreen
from app.ui.text import visible
from app.ui.themes import DARK, LIGHT
from app.workspace.workspace import Workspace


class ActionProvider(Provider):
    """The table of actions as the command palette's commands."""

    def _commands(self) -> list[tuple[Action, str, str]]:
        app = self.app
        assert isinstance(app, TidegateApp)
        return [
            (
                action,
                action.description,
                f"{SCOPE_TITLES[action.scope]}  {key_label(keys_of(action.id, app.user_keymap)[0])}",
            )
            for action in ACTIONS
            if action.scope not in ("lines", "permission", "sessions")
            and app.target_of(action.scope) is not None
        ]

    def _command(self, action: Action) -> Callable[[], Any]:
        app = self.app
        assert isinstance(app, TidegateApp)
        return lambda: app.call_later(app.action_perform, action.id)

    async def discover(self) -> Hits:
        for action, words, where in self._commands():
            yield DiscoveryHit(words, self._command(action), help=where)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, words, where in self._commands():
            score = matcher.match(f"{words} {action.id}")
            if score > 0:
                yield Hit(score, matcher.highlight(words), self._command(action), help=where)


class TidegateApp(App[str | None]):
    """Ends with None, or with the name of the model to open the workspace with again."""

    TITLE = "Tidegate"
    CSS_PATH = "styles.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("app"))
    COMMANDS: ClassVar[set[type[Provider]]] = {ActionProvider}  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        ports: Ports,
        *,
        keymap: Keymap | None = None,
        theme: str = "",
        show_file: str | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._ports = ports
        self.user_keymap: Keymap = keymap or {}
        self._show_file = show_file
        self._notices = notices
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = theme if theme in self.available_themes else DARK.name
        self.set_keymap({name: ",".join(keys) for name, keys in self.user_keymap.items()})

    def on_mount(self) -> None:
        self.push_screen(WorkspaceScreen(self._ports, self.user_keymap, self._show_file))
        for notice in (*self._notices, *clashes(self.user_keymap)):
            self.notify(notice, severity="warning", timeout=8)

    # Actions by id, for the palette and the hint line.

    @property
    def workspace_screen(self) -> WorkspaceScreen | None:
        """The screen with the panes."""
        return next((screen for screen in self.screen_stack if isinstance(screen, WorkspaceScreen)), None)

    def target_of(self, scope: str) -> DOMNode | None:
        """Whom an action of `scope` is for, if it is there."""
        screen = self.workspace_screen
        if scope == "app":
            return self
        if screen is None or scope == "workspace":
            return screen
        return screen.query_one(f"#{scope}")

    async def action_perform(self, action_id: str) -> None:
        """Do what the table calls `action_id`."""
        action = BY_ID[action_id]
        target = self.target_of(action.scope)
        if target is None:
            return
        screen = self.workspace_screen
        if (
            screen is not None
            and action.scope in ("viewer", "review")
            and screen.switcher.current != action.scope
        ):
            screen.action_show_review() if action.scope == "review" else screen.action_show_viewer()
        await self.run_action(action.handler, default_namespace=target)

    def action_help(self) -> None:
        self.push_screen(HelpScreen(self.user_keymap))

    def action_switch_theme(self) -> None:
        self.theme = LIGHT.name if self.current_theme.dark else DARK.name

    def action_leave(self) -> None:
        screen = self.workspace_screen
        if screen is None or not screen.agent.is_working:
            self.exit()
            return
        question = "The agent is still working. What it said and did until now is kept."
        if not isinstance(self.screen, Confirm):
            self.push_screen(Confirm("Quit", question, "Stop it and quit", "Stay"), self._leave_if)

    def _leave_if(self, yes: bool | None) -> None:
        if yes:
            self.exit()

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        # What is told quotes paths and other programs' words, which are no markup.
        super().notify(visible(message), title=title, severity=severity, timeout=timeout, markup=markup)

    def get_system_commands(self, screen: Screen[Any]) -> Any:  # noqa: ARG002  none but our own
        return iter(())

    def on_model_screen_chosen(self, event: ModelScreen.Chosen) -> None:
        self.exit(event.model)


def run_workspace(path: Path, model: str | None, settings: Settings, show_file: Path | None = None) -> int:
    """Open the workspace on the directory `path` and return an exit status.

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
        review = Review(workspace.root)

        def agent(
            asker: PermissionAsker,
            session: str | None = None,
            *,
            engine: EnginePort = engine,
            review: ReviewPort = review,
        ) -> AgentPort:
            from app.agent.agent import open_agent  # noqa: PLC0415  the first frame does not wait for it

            return open_agent(
                workspace, engine, review, asker, mode=settings.mode, session=session, rules=settings.rules
            )

        app = TidegateApp(
            Ports(workspace, review, engine, agent), keymap=keymap, theme=settings.theme, show_file=file
        )
        chosen = app.run()
        if chosen is None:
            return app.return_code or 0
        remember_model(chosen)
        named = chosen
