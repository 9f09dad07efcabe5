"""What an MCP server answers, as text for a model that reads nothing else."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.terminal_output import clean

if TYPE_CHECKING:
    from mcp.types import CallToolResult


def as_text(result: "CallToolResult") -> str:
    """The whole result: text unchanged, and a line in place of each item that is no text."""
    parts = [part for block in result.content for part in _block(block)]
    if not parts and result.structured_content is not None:
        parts = [json.dumps(result.structured_content, ensure_ascii=False)]
    return "\n".join(parts) or "[The tool answered nothing.]"


def _block(block: Any) -> Iterator[str]:
    match block.type:
        case "text":
            yield clean(block.text)
        case "image" | "audio":
            size = len(block.data) * 3 // 4
            yield f"[{block.type}, {block.mime_type}, {size:,} bytes: it cannot be shown to you.]"
        case "resource_link":
            about = f": {block.description}" if block.description else ""
            yield f"[resource {block.uri}{about}]"
        case "resource":
            inner = block.resource
            text = getattr(inner, "text", None)
            if text is not None:
                yield f"[resource {inner.uri}]\n{clean(text)}"
            else:
                kind, size = inner.mime_type or "binary", len(inner.blob) * 3 // 4
                yield f"[resource {inner.uri}, {kind}, {size:,} bytes: it cannot be shown to you.]"
        case _:
            yield f"[{block.type}: it cannot be shown to you.]"
