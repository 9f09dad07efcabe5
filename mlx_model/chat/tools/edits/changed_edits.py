"""Edits that change something: in a call of `edit`, `new_string` may not come out equal to `old_string`.

A mask on the last token alone would make a model that has copied `old_string` append something. So while
`new_string` is the beginning of a copy its tokens are held back, and once it is a whole one they are decoded
anew from where it would most likely have differed (see mlx_model.decode.divergence). Where `new_string` is
written first, it is not constrained.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mlx_model.chat.tools.call_text import END, FUNCTION_END, Read
from mlx_model.chat.tools.edits.exact_edits import EDIT

_OLD, NEW = "old_string", "new_string"


@dataclass(frozen=True, slots=True)
class Change:
    """What a call has said so far of its two strings, text as CallTokens has it; None: not begun. `new` is
    None again once it differs."""

    old: str | None = None
    new: str | None = None

    def after(self, tool: str, read: Read) -> "Change":
        """With more read of a call of `tool`."""
        if tool != EDIT or read.key not in (_OLD, NEW):
            return self
        if read.key == _OLD and read.kind in ("begin", "value"):
            return replace(self, old=(self.old or "") + read.text)
        if read.key == NEW and read.kind == "begin" and self.old is not None:
            return replace(self, new="")
        if read.key == NEW and read.kind == "value" and self.new is not None and self.old is not None:
            new = self.new + read.text
            return replace(self, new=new if self.old.startswith(new) else None)
        return self

    @property
    def is_copy(self) -> bool:
        """Whether `new_string`, as far as it is read, is all of `old_string`."""
        return self.new is not None and self.new == self.old

    def may_be_copy(self, key: str, rest: str, keys: Iterable[str]) -> bool:
        """Whether the value of `key` that is being written is `new_string` and may become a copy. `rest`: its
        text that nothing has been made of yet; `keys`: the parameters that may follow."""
        if key != NEW or self.new is None or self.old is None:
            return False
        if not rest:
            return True
        ends = (FUNCTION_END, *(f"<parameter={key}>\n" for key in keys))
        return any((self.old + END + end).startswith(self.new + rest) for end in ends)
