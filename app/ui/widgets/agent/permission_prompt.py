"""The question whether a call may run, inside the agent pane."""

import asyncio
import time
from typing import ClassVar

from rich.console import Group
from rich.table import Column, Table
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from app.agent.port import PermissionAnswer, PermissionRequest
from app.ui.actions import bindings, in_scope, key_label
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible
from app.ui.keymap import keys_of
from app.ui.widgets.line_input import LineInput

_SHARE = 0.7  # of the pane's height
_LEAST_ROWS, _MOST_ROWS = 2, 14  # of what would be done


class PermissionPrompt(Vertical, can_focus=True):
    """Shows one request at a time and waits for a key.

    A key typed for something else must never approve: until nothing was typed for `grace` seconds, letters go
    to the message they were probably meant for.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("permission"))
    grace: ClassVar[float] = 0.7  # seconds

    class Typed(Message):
        """A letter that was typed before the question could be read."""

        def __init__(self, character: str) -> None:
            super().__init__()
            self.character = character

    class Shown(Message):
        """A question appeared (`asking`) or was answered."""

        def __init__(self, asking: bool) -> None:
            super().__init__()
            self.asking = asking

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._request: PermissionRequest | None = None
        self._answer: asyncio.Future[PermissionAnswer] | None = None
        self._turnstile = asyncio.Lock()
        self._quiet_since = 0.0
        self._timer: Timer | None = None
        self._title = Static("", id="permission-title")
        self._summary = Static("", id="permission-summary", markup=False)
        self._body = VerticalScroll(self._summary, id="permission-body", can_focus=False)
        self._options = Static("", id="permission-options")
        self._comment = LineInput(
            placeholder="What should it do instead? Enter sends, Esc goes back", id="permission-comment"
        )

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._body
        yield self._options
        yield self._comment

    def on_mount(self) -> None:
        self.display = False
        self._comment.display = False

    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        """Put the question and wait for the user's word."""
        async with self._turnstile:
            self._request = request
            self._answer = asyncio.get_running_loop().create_future()
            self._show(request)
            try:
                return await self._answer
            finally:
                self._request = self._answer = None
                self.display = False
                self._comment.display = False
                if self._timer is not None:
                    self._timer.stop()
                self.post_message(self.Shown(False))

    @property
    def is_asking(self) -> bool:
        """Whether a question waits."""
        return self._answer is not None

    @property
    def is_armed(self) -> bool:
        """Whether a key would count."""
        return time.monotonic() - self._quiet_since >= self.grace

    def _show(self, request: PermissionRequest) -> None:
        self._title.update(
            Text.assemble(
                ("Allow ", "bold"), (request.name, "bold"), ("?", "bold"), f"  {visible(request.reason)}"
            )
        )
        self._summary.update(self._painted(request.summary))
        self.display = True
        self._wait()
        self.fit()
        self.post_message(self.Shown(True))

    def fit(self) -> None:
        """Give what would be done the rows that the question and all its answers leave; the rest scrolls."""
        if not self.display or not isinstance(self.parent, Widget):
            return
        width, height = self.parent.size
        inner = max(1, width - self.gutter.width)
        taken = self._body.styles.margin.height
        for field in (self._title, self._options):
            taken += field.get_content_height(self.parent.size, self.app.size, inner)
        if self._comment.display:
            rows = self._comment.styles.height
            taken += self._comment.styles.margin.height + (int(rows.value) if rows is not None else 1)
        self._body.styles.max_height = max(_LEAST_ROWS, min(_MOST_ROWS, round(height * _SHARE) - taken))

    def _painted(self, summary: str) -> Group:
        """The action asked about; a diff is coloured, and wrapped lines are indented to its text."""
        palette = Palette.of(self.app)
        lines = summary.split("\n")
        first = next((index for index, line in enumerate(lines) if line.startswith("@@")), len(lines))
        parts: list[Text | Table] = [Text(visible(line), palette.strong) for line in lines[:first]]
        for line in lines[first:]:
            if line.startswith("@@"):
                rows = Table.grid(Column(width=2), Column(ratio=1, overflow="fold"), expand=True)
                parts += [Text(visible(line), palette.muted), rows]
            else:
                style = {"+": palette.added, "-": palette.removed}.get(line[:1])
                rows.add_row(line[:1], Text(visible(line[1:])), style=style)
        return Group(*parts)

    def _wait(self) -> None:
        """Begin the grace period again."""
        self._quiet_since = time.monotonic()
        self._draw_options()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(self.grace + 0.01, self._draw_options)

    def _draw_options(self) -> None:
        if self._request is None:
            return
        keymap = getattr(self.app, "user_keymap", {})
        is_armed = self.is_armed
        text = Text(style="" if is_armed else "dim")
        # What says in full what it would allow comes last.
        full = {"always": self._request.always, "keep": self._request.keep}
        for action in sorted(in_scope("permission"), key=lambda action: action.handler in full):
            said = full.get(action.handler)
            if not action.hint or said == "":
                continue
            if text:
                text.append("  " if said is None else "\n")
            text.append(f" {key_label(keys_of(action.id, keymap)[0])} ", "bold reverse" if is_armed else "bold")
            if said is None:
                text.append(f" {action.hint}")
            else:
                name = "always" if action.handler == "always" else "in every session"
                text.append(f" {name}: {visible(said)}")
        self._options.update(text)

    def on_key(self, event: events.Key) -> None:
        if self._comment.has_focus or not (event.is_printable or event.key in ("enter", "space")):
            return
        if not self.is_armed:
            event.stop()
            event.prevent_default()
            if event.character and event.is_printable:
                self.post_message(self.Typed(event.character))
            self._wait()

    def _settle(self, answer: PermissionAnswer) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def action_once(self) -> None:
        self._settle(PermissionAnswer("once"))

    def action_always(self) -> None:
        if self._request is not None and self._request.always:
            self._settle(PermissionAnswer("always"))

    def action_keep(self) -> None:
        if self._request is not None and self._request.keep:
            self._settle(PermissionAnswer("keep"))

    def action_deny(self) -> None:
        self._settle(PermissionAnswer("deny"))

    def action_body_down(self) -> None:
        self._body.scroll_relative(y=max(1, self._body.size.height - 1), animate=False)

    def action_body_up(self) -> None:
        self._body.scroll_relative(y=-max(1, self._body.size.height - 1), animate=False)

    def action_comment(self) -> None:
        field = self._comment
        field.display = True
        self.fit()
        field.value = ""
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._settle(PermissionAnswer("deny", event.value.strip()))

    def leave_comment(self) -> bool:
        """Close the comment field. False if it was not open."""
        field = self._comment
        if not field.display:
            return False
        field.display = False
        self.fit()
        self.focus()
        return True
