"""Where the user writes to the agent."""

import re
import tempfile
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets import TextArea

from app.ui.actions import bindings, in_scope
from app.ui.completion import Token, rank, token_before
from app.ui.editor import EditorError, edit
from app.ui.keymap import keys_of
from app.ui.widgets.completion_list import CompletionList

_LONG_PASTE = 1_200  # characters
_TALL_PASTE = 12  # lines


class PromptInput(TextArea):
    """Several lines of text with history. A long paste becomes a short sign, and the whole text when sent."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("prompt"))

    class Sent(Message):
        """The user sent `text`."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class TellNow(Message):
        """What waits for the turn's end should be told at once."""

    class ModeWanted(Message):
        """The user wants the next mode."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id,
            compact=True,
            highlight_cursor_line=False,
            placeholder="Ask, or say what to change…",
        )
        self.cursor_blink = False
        self._pastes: dict[str, str] = {}
        self._history: list[str] = []
        self._place = 0
        self._draft = ""
        self.completions = CompletionList(id="completions")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # The text area would take F6 and F7 for these; they belong to the workspace.
        return action not in ("select_line", "select_all") and super().check_action(action, parameters)

    # Pasting.

    async def _on_paste(self, event: events.Paste) -> None:
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        event.prevent_default()
        event.stop()
        self.take(text)

    def take(self, text: str) -> None:
        """Insert `text` as if it had been pasted."""
        if len(text) > _LONG_PASTE or text.count("\n") >= _TALL_PASTE:
            text = self._sign_for(text)
        result = self.replace(text, *self.selection)
        self.move_cursor(result.end_location)

    def _sign_for(self, text: str) -> str:
        sign = f"[pasted {len(text):,} characters]"
        number = 2
        while self._pastes.get(sign, text) != text:
            sign = f"[pasted {len(text):,} characters, {number}]"
            number += 1
        self._pastes[sign] = text
        return sign

    def full_text(self) -> str:
        """What is written, with every paste in full."""
        if not self._pastes:
            return self.text
        pattern = "|".join(re.escape(sign) for sign in self._pastes)
        return re.sub(pattern, lambda found: self._pastes[found[0]], self.text)

    def action_delete_left(self) -> None:
        """Backspace; behind the sign of a paste it takes the whole sign."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        sign = next((sign for sign in self._pastes if before.endswith(sign)), None)
        if sign is not None and self.selection.is_empty:
            self.delete((row, column - len(sign)), (row, column))
        else:
            super().action_delete_left()

    # Sending and history.

    async def _on_key(self, event: events.Key) -> None:
        handler = self._own_keys().get(event.key)
        if self.completions.is_open and event.key == "escape":
            event.stop()
            event.prevent_default()
            self.completions.close()
        elif handler == "complete" and not self.completions.is_open:
            return  # the key goes its usual way
        elif handler is not None:
            # At once and not by a binding, which would be found only after keys that were typed later.
            event.stop()
            event.prevent_default()
            await self.run_action(handler)

    def _own_keys(self) -> dict[str, str]:
        keymap = getattr(self.app, "user_keymap", {})
        return {key: action.handler for action in in_scope("prompt") for key in keys_of(action.id, keymap)}

    def action_send(self) -> None:
        if self.completions.is_open and self.action_complete():
            return
        self.completions.close()
        text = self.full_text().strip()
        if not text:
            self.post_message(self.TellNow())
            return
        self._history.append(text)
        self.reset()
        self.post_message(self.Sent(text))

    def reset(self) -> None:
        """Empty the field."""
        self._pastes.clear()
        self._place = len(self._history)
        self._draft = ""
        self.text = ""

    def set_draft(self, text: str) -> None:
        """Put `text` back before what is written already."""
        written = self.full_text()
        self.text = ""
        self._pastes.clear()
        self.take(f"{text}\n{written}" if written else text)

    def action_newline(self) -> None:
        result = self.replace("\n", *self.selection)
        self.move_cursor(result.end_location)

    def action_older(self) -> None:
        if self.completions.is_open:
            self.completions.move(-1)
            return
        if self.cursor_location[0] > 0 or not self._history:
            self.action_cursor_up()
            return
        if self._place == len(self._history):
            self._draft = self.full_text()
        if self._place > 0:
            self._place -= 1
            self._recall(self._history[self._place])

    def action_newer(self) -> None:
        if self.completions.is_open:
            self.completions.move(1)
            return
        if self.cursor_location[0] < self.document.line_count - 1 or self._place >= len(self._history):
            self.action_cursor_down()
            return
        self._place += 1
        self._recall(self._draft if self._place == len(self._history) else self._history[self._place])

    def _recall(self, text: str) -> None:
        self.text = ""
        self.take(text)

    def remember(self, said: list[str]) -> None:
        """Take what was said in earlier sessions into the history, before what was said in this one."""
        self._history[:0] = said
        self._place += len(said)

    # Completion.

    def token(self) -> Token | None:
        """What stands before the cursor and could be completed."""
        row, column = self.cursor_location
        if not self.selection.is_empty:
            return None
        return token_before(self.document.get_line(row)[:column], row == 0)

    def action_complete(self) -> bool:
        """Put the chosen completion in place of what is typed; False if that is what is there already."""
        chosen, token = self.completions.chosen, self.token()
        offered = self.completions.token
        self.completions.close()
        if chosen is None or token is None or offered is None:
            return False
        if (token.kind, token.start) != (offered.kind, offered.start) or not rank(
            token.query, [chosen.label], 1
        ):
            return False  # what is offered is for what was typed before
        row, column = self.cursor_location
        if self.document.get_line(row)[token.start : column] == chosen.text.rstrip():
            return False
        result = self.replace(chosen.text, (row, token.start), (row, column))
        self.move_cursor(result.end_location)
        return True

    # Another editor.

    def action_edit_outside(self) -> None:
        """Write the message in the user's editor; the screen comes back when that ends."""
        descriptor, name = tempfile.mkstemp(".md", "message-")
        file = Path(name)
        try:
            with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123 - a descriptor, not a path
                opened.write(self.full_text())
            edit(self.app, file, self.cursor_location[0] + 1)
            self._recall(file.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
        except EditorError as error:
            self.app.notify(str(error), severity="warning")
        finally:
            file.unlink(missing_ok=True)
        self.app.refresh(layout=True)

    def action_cycle_mode(self) -> None:
        self.post_message(self.ModeWanted())
