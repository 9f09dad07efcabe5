"""What an editor's user said, as the agent takes it: text, in which files are mentioned with an @."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def as_text(blocks: Iterable[Any], root: Path) -> str:
    """The blocks of a prompt as one message. Files of the workspace at `root` are mentioned, so that they go
    along; text that the editor sends along is put behind the words."""
    words: list[str] = []
    attached: list[str] = []
    for block in blocks:
        match block.type:
            case "text":
                words.append(block.text)
            case "resource_link":
                words.append(_named(block.uri, root))
            case "resource":
                mention = _named(block.resource.uri, root)
                if mention[:1] == "@" and re.search(rf"{re.escape(mention)}(?!\w)", "".join(words)):
                    continue  # mentioned and sent along: once is enough
                name = _named(block.resource.uri, root, mark="")
                words.append(name)
                text = getattr(block.resource, "text", None)
                attached.append(
                    f"{name}:\n{text}" if text is not None else f"[{name} is binary and was left out.]"
                )
            case _:
                attached.append(f"[A piece of {block.type} was left out: the model reads text only.]")
    return "\n\n".join(["".join(words), *attached]).strip()


def _named(uri: str, root: Path, mark: str = "@") -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    if parts.scheme != "file":
        return uri
    path = Path(unquote(parts.path))
    lines = parts.fragment.replace("L", "").replace(":", "-")  # as in #L10:20
    place = f":{lines}" if lines.replace("-", "").isdigit() else ""
    if path.is_relative_to(root) and " " not in str(path):
        return f"{mark}{path.relative_to(root).as_posix()}{place}"
    return f"{path}{place}"
