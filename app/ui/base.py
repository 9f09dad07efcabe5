"""What every application of ours has: themes, keys and palette from the table of actions."""

import asyncio
import os
import signal
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from textual import events
from textual.app import App
from textual.binding import BindingType
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from app.settings.settings import Settings
from app.ui.drawing.backgrounds import cache_by_colours
from app.ui.drawing.text import sentence, visible
from app.ui.drawing.themes import DARK, OURS
from app.ui.driver import TerminalDriver
from app.ui.keys.actions import ACTIONS, AT_THE_CURSOR, BY_ID, SCOPE_TITLES, Scope, bindings
from app.ui.keys.keymap import Keymap, clashes, keys_of
from app.ui.keys.labels import key_label
from app.ui.keys.typed_ahead import TypedAhead

if TYPE_CHECKING:
    from app.ui.preferences.keymap_editor import KeymapEditor
    from app.ui.preferences.settings_screen import SettingsScreen

Result = TypeVar("Result")
_HELP = "Help"
_LEAST_SCORE = 1e-6  # of the palette's scores, which are above 0


@dataclass(frozen=True, slots=True)
class PaletteCommand:
    """A line of the palette: what it does, in words and by the name it has elsewhere, and where that is."""

    words: str
    name: str
    where: str
    run: Callable[[], object]


class ActionProvider(Provider):
    """The table of actions as the command palette's commands, and what an application has besides."""

    def _commands(self) -> list[PaletteCommand]:
        app = self.app
        assert isinstance(app, ActionApp)
        actions = [
            PaletteCommand(
                action.description,
                action.id,
                f"{SCOPE_TITLES[action.scope]}  {key_label(keys_of(action.id, app.user_keymap)[0])}",
                partial(app.call_later, app.action_perform, action.id),
            )
            for action in ACTIONS
            if action.scope not in ("lines", "permission", "sessions", "find", "search")
            and action.id not in AT_THE_CURSOR
            and app.target_of(action.scope) is not None
            and app.is_of_use(action.id)
        ]
        return [*actions, *app.palette_commands()]

    async def discover(self) -> Hits:
        for command in self._commands():
            yield DiscoveryHit(_row(Content(command.words), command), command.run, command.words)

    async def search(self, query: str) -> Hits:
        app = self.app
        assert isinstance(app, ActionApp)
        matcher = self.matcher(query)
        for command in [*self._commands(), *await app.palette_found(query)]:
            score = matcher.match(f"{command.words} {command.name}")
            if score > 0:
                row = _row(matcher.highlight(command.words), command)
                yield Hit(score, row, command.run, command.words)
        last = app.palette_fallback(query)
        if last is not None:
            yield Hit(_LEAST_SCORE, _row(Content(last.words), last), last.run, last.words)


def _row(words: Content, command: PaletteCommand) -> Content:
    """What it does and where that is, in one row."""
    return Content.assemble(words, (f"  {visible(command.where)}", "$foreground 55%"))


class ActionApp(App[Result], Generic[Result]):
    """An application whose actions are those of the table; a subclass says who does them."""

    TITLE = "Tidegate"
    CSS_PATH = "styles.tcss"
    BINDINGS: ClassVar[list[BindingType]] = list(bindings("app"))
    COMMANDS: ClassVar[set[type[Provider]]] = {ActionProvider}  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = True
    palette_words: ClassVar[str] = "What do you want to do?"

    def __init__(
        self,
        *,
        keymap: Keymap | None = None,
        settings: Settings | None = None,
        notices: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        cache_by_colours()
        self.settings = settings or Settings()
        theme = self.settings.theme
        self.user_keymap: dict[str, tuple[str, ...]] = dict(keymap or {})
        self._notices = notices
        for ours in OURS:
            self.register_theme(ours)
        self.theme = theme if theme in self.available_themes else DARK.name
        # The stylesheet is read with the theme's colours at once, and not a second time for them.
        self.stylesheet.set_variables(self.get_css_variables())
        self._styled_with = self.get_css_variables()
        self.typed_ahead = TypedAhead(self, self.give)
        self._given: tuple[events.Event, Screen[Any]] | None = None
        """What was typed last, and the screen that was in front."""
        self.set_keymap({name: ",".join(keys) for name, keys in self.user_keymap.items()})

    def refresh_css(self, animate: bool = True) -> None:
        # Textual would read every rule anew for colours that are what they were, also before the first frame.
        variables = self.get_css_variables()
        if variables != self._styled_with:
            self._styled_with = variables
            super().refresh_css(animate)
            return
        self.stylesheet.update(self, animate=animate)
        for screen in self.screen_stack:
            self.stylesheet.update(screen, animate=animate)
            screen.refresh(layout=True)

    def tell_notices(self) -> None:
        """Show the faults of settings and keymap."""
        for notice in (*self._notices, *clashes(self.user_keymap)):
            self.notify(notice, severity="warning", timeout=8)

    @abstractmethod
    def target_of(self, scope: str) -> DOMNode | None:
        """Whom an action of `scope` is for, if it is there."""

    def palette_commands(self) -> Iterable[PaletteCommand]:
        """What the palette offers besides the table of actions."""
        return ()

    def is_of_use(self, action_id: str) -> bool:  # noqa: ARG002
        """Whether an action does anything as things stand."""
        return True

    async def palette_found(self, query: str) -> Iterable[PaletteCommand]:  # noqa: ARG002
        """What the palette finds besides commands."""
        return ()

    def palette_fallback(self, query: str) -> PaletteCommand | None:  # noqa: ARG002
        """What the palette offers last, whatever was found."""
        return None

    def reveal(self, scope: str) -> None:
        """Bring into view what an action of `scope` is for."""

    async def action_perform(self, action_id: str) -> None:
        """Do what the table calls `action_id`."""
        action = BY_ID[action_id]
        target = self.target_of(action.scope)
        if target is None:
            return
        self.reveal(action.scope)
        await self.run_action(action.handler, default_namespace=target)

    def action_command_palette(self) -> None:
        from app.ui.dialogs.dialog import ActionPalette  # noqa: PLC0415

        if not any(isinstance(screen, ActionPalette) for screen in self.screen_stack):
            self.push_screen(ActionPalette(id="--command-palette", placeholder=self.palette_words))

    def action_help(self) -> None:
        from app.ui.dialogs.help import HelpScreen  # noqa: PLC0415  the first frame does not wait for it

        self.push_screen(HelpScreen(self.user_keymap, self._keys_here(), self.scope_here()))

    def scope_here(self) -> Scope | None:
        """The scope of what has the focus, whose keys the help shows first."""
        return None

    def _keys_here(self) -> "tuple[str, list[tuple[str, str]]] | None":
        """The keys of the dialog that is open, under its title; a dialog's keys are not in the table."""
        if not isinstance(self.screen, ModalScreen):
            return None
        title = next((str(box.border_title) for box in self.screen.query(".dialog")), "")
        keys: dict[str, list[str]] = {}
        for key, active in self.screen.active_bindings.items():
            if active.node is self.screen and active.binding.description and active.binding.id is None:
                keys.setdefault(active.binding.description, []).append(key_label(key))
        return title, [("  ".join(labels), words) for words, labels in keys.items() if words != _HELP]

    def action_choose_theme(self) -> None:
        from app.ui.preferences.theme_picker import ThemePicker  # noqa: PLC0415

        self.push_screen(ThemePicker(list(self.available_themes), self.theme))

    def action_show_settings(self) -> None:
        from app.ui.preferences.settings_screen import SettingsScreen  # noqa: PLC0415

        self.push_screen(SettingsScreen(self.settings))

    def action_edit_keys(self) -> None:
        from app.ui.preferences.keymap_editor import KeymapEditor  # noqa: PLC0415

        self.push_screen(KeymapEditor(self.user_keymap))

    def on_settings_screen_changed(self, event: "SettingsScreen.Changed") -> None:
        self.use_settings(event.settings)

    def use_settings(self, settings: Settings) -> None:
        """Take over what of `settings` can be taken over while running."""
        before, self.settings = self.settings, settings
        if settings.theme in self.available_themes:
            self.theme = settings.theme
        if settings.diff_tints != before.diff_tints:
            for screen in self.screen_stack:
                for widget in screen.walk_children(Widget):
                    widget.notify_style_update()
                screen.refresh(layout=True)

    def on_keymap_editor_changed(self, event: "KeymapEditor.Changed") -> None:
        # In place: help, hints and palette hold the same one.
        self.user_keymap.clear()
        self.user_keymap.update(event.keymap)
        self.set_keymap({name: ",".join(keys) for name, keys in self.user_keymap.items()})

    def get_driver_class(self) -> type[Driver]:
        driver = super().get_driver_class()
        return TerminalDriver if driver is LinuxDriver else driver

    def enter_terminal(self) -> None:
        """The terminal is ours, from the start or again."""

    def leave_terminal(self) -> None:
        """The terminal is about to be somebody else's, at the end or for a while."""

    def write_to_terminal(self, sequence: str) -> None:
        """Send a sequence that draws nothing."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)
            self._driver.flush()

    def on_mount(self) -> None:
        if not self.is_headless:
            # Told to end, or the terminal is gone: leave as the key would, so that nothing is left running and
            # the terminal is as it was.
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)

    async def on_event(self, event: events.Event) -> None:
        if not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            # A key that nobody took comes back here. It is not meant for a box that opened meanwhile.
            if self._given is None or event is not self._given[0] or self.screen is self._given[1]:
                await super().on_event(event)
        elif not self.typed_ahead.must_wait(event):
            await self.give(event)

    async def give(self, event: events.Key | events.Paste) -> None:
        """Give what was typed to what has the focus now."""
        target = self.focused or self.screen
        self._given = event, self.screen
        await super().on_event(event)
        self.typed_ahead.given(event, target)

    def action_help_quit(self) -> None:
        # What Textual does with Ctrl+C where there is nothing to copy.
        self.notify(f"{self.key_of('app.quit')} quits.", timeout=3)

    def key_of(self, action_id: str) -> str:
        """The first key of an action, as the screen writes it."""
        return key_label(keys_of(action_id, self.user_keymap)[0])

    def copy_to_clipboard(self, text: str) -> None:
        self.run_worker(self.copy(text), group="copy")

    async def copy(self, text: str) -> bool:
        """Put `text` into the clipboard. False where only the terminal was asked to, which does not answer."""
        from app.ui.clipboard import clipboard_command, copied  # noqa: PLC0415  the first frame copies nothing

        command = clipboard_command(os.environ)
        if command is not None and not self.is_headless and await asyncio.to_thread(copied, text, command):
            self._clipboard = text  # what Textual pastes
            return True
        super().copy_to_clipboard(text)
        return False

    def action_leave(self) -> None:
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
        super().notify(
            visible(sentence(message)), title=title, severity=severity, timeout=timeout, markup=markup
        )

    def get_system_commands(self, screen: Screen[Any]) -> Any:  # noqa: ARG002  none but our own
        return iter(())
