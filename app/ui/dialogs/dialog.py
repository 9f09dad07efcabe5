"""What every dialog is."""

from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.screen import ModalScreen
from typing_extensions import override

Result = TypeVar("Result")

_STYLES = (
    Path(__file__).parent.parent / "dialogs.tcss"
)  # read with the first dialog: the first frame does not wait for them


class Dialog(ModalScreen[Result], Generic[Result]):
    """A box over the screen."""

    CSS_PATH = _STYLES
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1", "app.help", "Help", show=False)]
    is_left = False
    """Whether it was dismissed. Its fields go: what was still being looked up has no place to be shown."""

    @override
    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        self.is_left = True
        return super().dismiss(result)


class ActionPalette(CommandPalette):
    """Textual's command palette, looking like the dialogs."""

    CSS_PATH = _STYLES
