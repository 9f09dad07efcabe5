"""Edits that always match: in a call of `edit`, `old_string` is constrained to substrings of the edited file.

Parameters come in any order. Where `file_path` comes first and its file is known, `old_string` is a quotation
of it (see quotation), unique unless `replace_all` is true by then; other calls are not constrained further.
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
"""Texts that can be quoted, by normalized path (see normal_path)."""


def normal_path(path: str) -> str:
    """A path without `./`, doubled slashes and white space around it. `..` stays, for the folder before it may
    be a link."""
    return str(PurePosixPath(path.strip()))


def can_edit(schemas: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether these tools have an `edit` with the parameters `file_path` and `old_string`."""
    properties = schemas.get(_TOOL, {}).get("properties")
    return isinstance(properties, Mapping) and {_PATH, _QUOTE} <= properties.keys()


class ExactEdits:
    """Removes tokens of a vocabulary that would start a quotation inside a token."""

    def __init__(self, tokens: QuotingTokens) -> None:
        trie = tokens.trie
        # The opening line of the value must end with a token, so that the value begins with one.
        self._beyond = {
            done: np.array(trie.beyond(_OPENING[done:]), dtype=np.intp) for done in range(len(_OPENING))
        }
        self._across = np.array(
            [token for text, token in trie.spelled() if _OPENING in text[: len(text) - 1]], dtype=np.intp
        )

    def narrow(self, mask: NDArray[np.bool_], call: "EditCall") -> None:
        """Removes from the grammar's `mask` [vocabulary] the tokens that contain the beginning of a quotation
        after other text."""
        if call.file is not None:
            mask[self._across] = False
            if call.key is None and _OPENING.startswith(call.pending):
                mask[self._beyond[len(call.pending)]] = False


@dataclass(frozen=True, slots=True)
class EditCall:
    """The beginning of a call, which the grammar has admitted. `pending`: the bytes not parsed yet; `key`: the
    parameter whose value they belong to."""

    files: Files
    pending: bytes = b""
    is_edit: bool | None = None
    key: bytes | None = None
    file: QuotableText | None = None
    everywhere: bool = False
    quotation: Quotation | None = None

    def after(self, piece: bytes) -> "EditCall | None":
        """The call with `piece` appended; None where the piece is not admitted."""
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
        """The call with one more line or value parsed; None where none is complete."""
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
            # Of a long value only the bytes that may begin its end are kept.
            return replace(self, pending=value[1 - len(END) :])
        return None
