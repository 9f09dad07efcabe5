"""The question whether a call may run, over the panes beside the agent's."""

import asyncio
import time
from collections.abc import Mapping
from typing import ClassVar, Self

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.geometry import Offset, Region
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Static

from app.agent.port import PermissionAnswer, PermissionRequest
from app.ui.diff.view import DiffView
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible
from app.ui.keys.actions import bindings, in_scope
from app.ui.keys.keymap import keys_of
from app.ui.keys.labels import key_label
from app.ui.widgets.agent.question import Question, question_of
from app.ui.widgets.line_input import LineInput

_LEAST_ROWS = 2  # of what would be done
_NUMBERS = 14  # columns of line numbers beside a diff
_LEAST_WIDTH, _MOST_WIDTH = 60, 132  # columns


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
        self._question: Question | None = None
        self._answer: asyncio.Future[PermissionAnswer] | None = None
        self._turnstile = asyncio.Lock()
        self._quiet_since = 0.0
        self._timer: Timer | None = None
        self._title = Static("", id="permission-title")
        self._summary = Static("", id="permission-summary", markup=False)
        self._body = VerticalScroll(self._summary, id="permission-body", can_focus=False)
        self._diff = DiffView(id="permission-diff")
        self._diff.can_focus = False
        self._diff.model.wrap = True  # what is allowed is seen to its end
        self._options = Static("", id="permission-options")
        self._comment = LineInput(
            placeholder="What should it do instead? Enter sends, Esc goes back", id="permission-comment"
        )

    def compose(self) -> ComposeResult:
        yield self._title
        yield self._body
        yield self._diff
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
                self._request = self._answer = self._question = None
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
    def words(self) -> str:
        """The question in one line."""
        return self._question.words if self._question is not None else ""

    @property
    def hint_names(self) -> Mapping[str, str]:
        """What the hints leave out, by the ids of actions: answers that are not offered."""
        request = self._request
        offered = {"always": request.always, "keep": request.keep} if request is not None else {}
        return {f"permission.{name}": "" for name, said in offered.items() if not said}

    @property
    def is_armed(self) -> bool:
        """Whether a key would count."""
        return time.monotonic() - self._quiet_since >= self.grace

    def _show(self, request: PermissionRequest) -> None:
        question = self._question = question_of(request)
        palette = Palette.of(self.app)
        self._title.update(
            Text.assemble(
                (visible(question.words), palette.strong), (f"\n{visible(request.reason)}", palette.muted)
            )
        )
        self._summary.update(Text("\n").join(Text(visible(line)) for line in question.body.split("\n")))
        is_change = question.change is not None
        self._body.display, self._diff.display = not is_change, is_change
        self._diff.set_changes((question.change,) if question.change is not None else ())
        for view in (self._body, self._diff):
            view.scroll_to(0, 0, animate=False)
        self._wait()
        self.post_message(self.Shown(True))

    def focus(self, scroll_visible: bool = True) -> Self:
        """Open the question, if there is one, and take the keys."""
        if self.is_asking:
            self.display = True
            self.fit()
            self.call_after_refresh(self.fit)  # by then the agent's pane is where it is going to be
        return super().focus(scroll_visible)

    def on_descendant_blur(self) -> None:
        self.call_after_refresh(self._make_room)

    def on_blur(self) -> None:
        self.call_after_refresh(self._make_room)

    def _make_room(self) -> None:
        """Let what the user went to be seen; the agent's key opens the question again."""
        focused = self.screen.focused
        if focused is not None and self not in focused.ancestors_with_self:
            self.display = False

    def on_diff_view_file_wanted(self, event: DiffView.FileWanted) -> None:
        event.stop()
        self._diff.know_file(event.change, ())  # the file is not so yet: the colours are those of the lines

    def fit(self) -> None:
        """Lay the question over what is left of the agent's pane, or over all panes where that is too narrow,
        as high as what would be done needs; the rest of that scrolls."""
        pane = self.parent.parent if isinstance(self.parent, Widget) else None
        if not self.display or not isinstance(pane, Widget) or not isinstance(pane.parent, Widget):
            return
        room = pane.parent.region
        if pane.region.x - room.x >= _LEAST_WIDTH:
            room = Region(room.x, room.y, pane.region.x - room.x, room.height)
        width = min(room.width, _MOST_WIDTH)
        inner = max(1, width - self.gutter.width)
        taken = self.gutter.height + self._body_margin
        for field in (self._title, self._options):
            taken += field.get_content_height(room.size, self.app.size, inner)
        if self._comment.display:
            rows = self._comment.styles.height
            taken += self._comment.styles.margin.height + (int(rows.value) if rows is not None else 1)
        body = max(_LEAST_ROWS, min(self._wanted_rows(inner), room.height - taken))
        self._body.styles.height = self._diff.styles.height = body
        height = min(room.height, body + taken)
        self.styles.width, self.styles.height = width, height
        self.absolute_offset = Offset(room.x + (room.width - width) // 2, room.y + (room.height - height) // 2)
        self.refresh(layout=True)

    @property
    def _body_margin(self) -> int:
        shown = self._diff if self._diff.display else self._body
        return shown.styles.margin.height

    def _wanted_rows(self, width: int) -> int:
        """The rows of what would be done."""
        question = self._question
        if question is not None and question.change is not None:
            room = max(8, width - _NUMBERS)
            hunks = question.change.hunks
            return 2 + sum(2 + sum(1 + len(line.text) // room for line in hunk.lines) for hunk in hunks)
        return self._summary.get_content_height(self.app.size, self.app.size, width - 1)

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
        self._scroll(1)

    def action_body_up(self) -> None:
        self._scroll(-1)

    def _scroll(self, pages: int) -> None:
        shown = self._diff if self._diff.display else self._body
        shown.scroll_relative(y=pages * max(1, shown.size.height - 1), animate=False, force=True)

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
