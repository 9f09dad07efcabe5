"""A file's text as the viewer wants it: lines, their width, and what is unusual about its encoding."""

from app.ui.widgets.file_view import measure
from app.workspace.model import Document


def split_lines(text: str, portion: int = 1_000_000) -> list[str]:
    """The lines of `text`, split in portions: one call for all of a huge file would stop every other thread."""
    text = text.removesuffix("\n")
    lines: list[str] = []
    start = 0
    while start <= len(text):
        end = text.find("\n", start + portion)
        end = len(text) if end < 0 else end
        lines += text[start:end].split("\n")
        start = end + 1
    return lines


def lines_of(document: Document) -> tuple[list[str], int]:
    """The lines of a document, and the cells of the widest."""
    if document.text is None:
        return [], 0
    lines = split_lines(document.text)
    return lines, measure(lines)


def file_facts(document: Document | None) -> str:
    """What is unusual about a file's encoding."""
    if document is None or document.text is None:
        return ""
    parts = [document.encoding] if document.encoding != "utf-8" else []
    parts += ["BOM"] if document.has_bom else []
    parts += ["CRLF"] if document.line_ending == "\r\n" else []
    return " ".join(parts)
