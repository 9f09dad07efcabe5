"""A file that is open for writing."""

from hashlib import sha256

from app.editing.open_file import OpenFile
from app.ui.panes.editor.area import EditorArea
from app.workspace.model import Document


class Buffer:
    """The text of `file`, called `path`, as it was written here, with all that can be undone."""

    def __init__(self, path: str, file: OpenFile) -> None:
        self.path = path
        self.file = file
        self.area = EditorArea(file.normal, path)
        self.changed_by = ""
        """Who has written the file on the disk while the text here was not saved; "" for nobody."""

    @property
    def is_dirty(self) -> bool:
        """Whether the text is not what the disk was last seen to have."""
        return not self.file.is_saved(self.area.text)

    @property
    def document(self) -> Document:
        """What was written, to be read; the size is that of the file on the disk."""
        text = self.file.text
        size = len(self.file.data or b"")
        return Document(self.path, self.area.text, "", text.encoding, bool(text.mark), text.line_ending, size)

    @property
    def base_digest(self) -> str:
        """By what the text that was read can be known again."""
        return sha256(self.file.data or b"").hexdigest()
