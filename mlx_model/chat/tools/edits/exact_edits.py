"""Edits that always match: in a call of `edit`, `old_string` is constrained to substrings of the edited file.

Parameters come in any order. Where `file_path` comes first and its file is known, `old_string` is a quotation
of it (see quotation), unique unless `replace_all` is true by then; other calls are not constrained further.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from mlx_model.chat.tools.call_text import Read
from mlx_model.chat.tools.edits.quotation import QuotableText, Quotation

EDIT = "edit"
_PATH, _QUOTE, _EVERYWHERE = "file_path", "old_string", "replace_all"

Files = Mapping[str, QuotableText]
"""Texts that can be quoted, by normalized path (see normal_path)."""


def normal_path(path: str) -> str:
    """A path without `./`, doubled slashes and white space around it. `..` stays, for the folder before it may
    be a link."""
    return str(PurePosixPath(path.strip()))


def can_edit(schemas: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether these tools have an `edit` with the parameters `file_path` and `old_string`."""
    properties = schemas.get(EDIT, {}).get("properties")
    return isinstance(properties, Mapping) and {_PATH, _QUOTE} <= properties.keys()


@dataclass(frozen=True, slots=True)
class EditedFile:
    """What a call has said so far of the file that it edits; text as CallTokens has it."""

    files: Files
    path: str = ""
    everywhere: str = ""
    file: QuotableText | None = None
    """The file, where it is known and its path complete."""

    def after(self, tool: str, read: Read) -> "EditedFile":
        """With more read of a call of `tool`."""
        if tool != EDIT or not self.files:
            return self
        if read.kind == "value" and read.key == _PATH:
            return replace(self, path=self.path + read.text)
        if read.kind == "value" and read.key == _EVERYWHERE:
            return replace(self, everywhere=self.everywhere + read.text)
        if read.kind == "end" and read.key == _PATH:
            path = self.path.encode("latin-1").decode(errors="replace")
            return replace(self, file=self.files.get(normal_path(path)))
        return self

    def quotes(self, tool: str, key: str) -> bool:
        """Whether the value of this parameter has to be a quotation."""
        return tool == EDIT and key == _QUOTE and self.file is not None

    def quotation(self) -> Quotation:
        """The beginning of one."""
        assert self.file is not None
        return Quotation(self.file, unique=self.everywhere.strip() != "true")
