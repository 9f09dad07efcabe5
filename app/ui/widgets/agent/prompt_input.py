"""Where the user writes to the agent."""

import re
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widgets.text_area import Edit, EditResult

from app.ui.completion import Token, rank, token_before
from app.ui.editor import EditorError, edit_text
from app.ui.keys.actions import bindings, in_scope
from app.ui.keys.keymap import keys_of
from app.ui.widgets.agent.completion_list import CompletionList
from app.ui.widgets.agent.vim_keys import VimKeys
from app.ui.widgets.writing_area import WritingArea

_LONG_PASTE = 1_200  # characters
_TALL_PASTE = 12  # lines
_CLOSE = frozenset(":,.;!?)]}'\"")  # follow a name without a space
_LONGEST_SHOWN = 20_000  # characters of what comes back to be changed


class PromptInput(WritingArea):
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

    class ReadWanted(Message):
        """The transcript should do `action`, while the field keeps the focus."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True, placeholder="Ask, or say what to change…")
        self._pastes: dict[str, str] = {}
        self._history: list[str] = []
        self._place = 0
        self._draft = ""
        self._behind_completion: tuple[int, int] | None = None
        self.vim: VimKeys | None = None
        """Vim's keys, where the user wants them."""
        self.completions = CompletionList(id="completions")

    def on_mount(self) -> None:
        self.use_settings()

    def use_settings(self) -> None:
        """Take what the user set, also while the field is in use."""
        settings = getattr(self.app, "settings", None)
        wants_vim = settings is not None and settings.vim_keys
        if wants_vim != (self.vim is not None):
            self.vim = VimKeys(self) if wants_vim else None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # The text area would take F6, F7 and Ctrl+Z for these; they belong to the workspace.
        return action not in ("select_line", "select_all", "undo") and super().check_action(action, parameters)

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
        return self._in_full(self.text)

    def _in_full(self, text: str) -> str:
        return self._signs.sub(lambda found: self._pastes[found[0]], text) if self._pastes else text

    @property
    def _signs(self) -> re.Pattern[str]:
        return re.compile("|".join(map(re.escape, self._pastes)))

    def edit(self, edit: Edit) -> EditResult:
        """The placeholder of a paste is changed as a whole or not at all: half of one has no meaning."""
        if self._pastes:
            (top, left), (bottom, right) = edit.top, edit.bottom
            is_deletion = edit.top != edit.bottom
            for row in {top, bottom}:
                for sign in self._signs.finditer(self.document.get_line(row)):
                    if row == top and sign.start() < left < sign.end():
                        left = sign.start() if is_deletion else sign.end()
                    if row == bottom and sign.start() < right < sign.end():
                        right = sign.end()
            edit = replace(edit, from_location=(top, left), to_location=(bottom, right))
        return super().edit(edit)

    # Sending and history.

    async def _on_key(self, event: events.Key) -> None:
        handler = self._own_keys().get(event.key)
        if event.character is not None and event.character in _CLOSE and not handler:
            self._close_up()
        if self.completions.is_open and event.key == "escape":
            event.stop()
            event.prevent_default()
            self.completions.close()
        elif self.vim is not None and self.vim.take(event):
            event.stop()
            event.prevent_default()
        elif handler == "complete" and not self.completions.is_open:
            return  # the key goes its usual way
        elif handler is not None:
            # At once and not by a binding, which would be found only after keys that were typed later.
            event.stop()
            event.prevent_default()
            await self.run_action(handler)

    def _close_up(self) -> None:
        """Take back the space that a completion put behind itself: what comes now belongs to it."""
        row, column = self.cursor_location
        is_behind = self.selection.is_empty and (row, column) == self._behind_completion
        if is_behind and self.document.get_line(row)[:column].endswith(" "):
            self.delete((row, column - 1), (row, column))

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
        if self.vim is not None:
            self.vim.reset()

    def set_draft(self, text: str) -> None:
        """Insert `text` before the text that is already there."""
        written = self.full_text()
        self._recall(f"{text}\n{written}" if written else text)

    def action_undo_edit(self) -> None:
        """Take back what was last written; the text area's own key for it goes to the shell here."""
        self.undo()

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
        """Let what was written once be changed: in sight, unless it is too long for that."""
        self.text = ""
        self._pastes.clear()
        if len(text) > _LONGEST_SHOWN:
            self.take(text)
        else:
            self.move_cursor(self.insert(text).end_location)

    def remember(self, said: list[str]) -> None:
        """Take what was said in earlier sessions into the history, before what was said in this one."""
        self._history[:0] = said
        self._place += len(said)

    def action_history(self) -> None:
        from app.ui.dialogs.history import HistoryScreen  # noqa: PLC0415  the first frame does not wait for it

        def take(text: str | None) -> None:
            if text is not None:
                self.reset()
                self._recall(text)

        self.app.push_screen(HistoryScreen(self._history, self.full_text()), take)

    # Reading the conversation meanwhile.

    def action_read_up(self) -> None:
        self.post_message(self.ReadWanted("page_up"))

    def action_read_down(self) -> None:
        self.post_message(self.ReadWanted("page_down"))

    def action_read_first(self) -> None:
        self.post_message(self.ReadWanted("first"))

    def action_read_last(self) -> None:
        self.post_message(self.ReadWanted("last"))

    def action_find(self) -> None:
        self.post_message(self.ReadWanted("search"))

    def action_newest_call(self) -> None:
        self.post_message(self.ReadWanted("newest_call"))

    def action_unfold_plan(self) -> None:
        self.post_message(self.ReadWanted("unfold_plan"))

    def action_expand_all(self) -> None:
        if self.selection.is_empty:
            self.post_message(self.ReadWanted("expand_all"))
        else:
            self.action_cut()  # as the key does elsewhere

    # Completion.

    def token(self) -> Token | None:
        """The word before the cursor that could be completed."""
        row, column = self.cursor_location
        if not self.selection.is_empty:
            return None
        return token_before(self.document.get_line(row)[:column], row == 0)

    def action_complete(self) -> bool:
        """Replace the typed word by the chosen completion; False if they are equal."""
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
        self._behind_completion = result.end_location if chosen.text.endswith(" ") else None
        return True

    # Another editor.

    def action_edit_outside(self) -> None:
        """Write the message in the user's editor; the screen comes back when that ends."""
        written = self.full_text()
        line = self._in_full(self.get_text_range((0, 0), self.cursor_location)).count("\n") + 1
        try:
            self._recall(edit_text(self.app, written, "message.md", line).rstrip("\n"))
        except EditorError as error:
            self.app.notify(str(error), severity="warning")
        self.app.refresh(layout=True)

    def action_cycle_mode(self) -> None:
        self.post_message(self.ModeWanted())
