"""Edits that cannot miss: in a call of `edit`, old_string is held to the text of the file that is edited.

Parameters come in any order. Where `file_path` comes first and its file is known, `old_string` is a quotation
of it (see quotation), unique unless `replace_all` is true by then; any other call is as free as it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlx_model.chat.tools.quotation import END, QuotableText, Quotation, QuotingTokens

_TOOL, _PATH, _QUOTE, _EVERYWHERE = "edit", "file_path", "old_string", "replace_all"
_OPENING = f"<parameter={_QUOTE}>\n".encode()
_FUNCTION, _PARAMETER = b"<function=", b"<parameter="

Files = Mapping[str, QuotableText]
"""Texts that can be quoted, by their paths as `normal_path` has them."""


def normal_path(path: str) -> str:
    """Without what makes no difference: `./`, doubled slashes and white space around it. `..` stays: what it
    leads out of may be a link."""
    return str(PurePosixPath(path.strip()))


def can_edit(schemas: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether these tools have an `edit` of the kind that is meant."""
    properties = schemas.get(_TOOL, {}).get("properties")
    return isinstance(properties, Mapping) and {_PATH, _QUOTE} <= properties.keys()


class ExactEdits:
    """What a vocabulary may write in such calls."""

    def __init__(self, tokens: QuotingTokens) -> None:
        trie = tokens.trie
        # The line that opens the value ends with a token, so that the value begins with one.
        self._beyond = {
            done: np.array(trie.beyond(_OPENING[done:]), dtype=np.intp) for done in range(len(_OPENING))
        }
        self._across = np.array(
            [token for text, token in trie.spelled() if _OPENING in text[: len(text) - 1]], dtype=np.intp
        )

    def narrow(self, mask: NDArray[np.bool_], call: "EditCall") -> None:
        """Takes from `mask` [vocabulary], which the grammar admits outside of quotations, what would write the
        beginning of one in the same token as what comes before it."""
        if call.file is not None:
            mask[self._across] = False
            if call.key is None and _OPENING.startswith(call.pending):
                mask[self._beyond[len(call.pending)]] = False


@dataclass(frozen=True, slots=True)
class EditCall:
    """A call as far as it is written, which the grammar has admitted: `pending` is what is not understood yet,
    `key` the parameter whose value it belongs to."""

    files: Files
    pending: bytes = b""
    is_edit: bool | None = None
    key: bytes | None = None
    file: QuotableText | None = None
    everywhere: bool = False
    quotation: Quotation | None = None

    def after(self, piece: bytes) -> "EditCall | None":
        """What it is when these bytes are written too; None where they may not be."""
        if self.is_edit is False:
            return self
        if self.quotation is not None:
            quotation = self.quotation.after(piece)
            if quotation is None:
                return None
            return replace(self, quotation=None if quotation.is_over else quotation)
        call = replace(self, pending=self.pending + piece)
        while (step := call._step()) is not None:
            call = step
        return call

    def _step(self) -> "EditCall | None":
        """With one more line or value understood; None where none is complete."""
        if self.is_edit is False or self.quotation is not None:
            return None
        if self.key is not None:
            return self._value(self.key)
        line, newline, rest = self.pending.partition(b"\n")
        if not newline:
            return None
        name = line.removesuffix(b">")
        if name.startswith(_FUNCTION):
            return replace(self, pending=rest, is_edit=name == _FUNCTION + _TOOL.encode())
        if not name.startswith(_PARAMETER):
            return replace(self, pending=rest)
        key = name.removeprefix(_PARAMETER)
        if key == _QUOTE.encode() and self.file is not None and not rest:
            return replace(self, pending=rest, quotation=Quotation(self.file, unique=not self.everywhere))
        return replace(self, pending=rest, key=key)

    def _value(self, key: bytes) -> "EditCall | None":
        value, end, rest = self.pending.partition(END)
        if key == _PATH.encode() and end:
            file = self.files.get(normal_path(value.decode(errors="replace")))
            return replace(self, pending=rest, key=None, file=file)
        if key == _EVERYWHERE.encode() and end:
            return replace(self, pending=rest, key=None, everywhere=value.strip() == b"true")
        if end:
            return replace(self, pending=rest, key=None)
        if key not in (_PATH.encode(), _EVERYWHERE.encode()) and len(value) >= len(END):
            # Of a long value only what may begin its end is kept.
            return replace(self, pending=value[1 - len(END) :])
        return None
