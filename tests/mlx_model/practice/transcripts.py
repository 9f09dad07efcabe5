"""A few transcripts of practice tasks, written by hand."""

import json
from pathlib import Path
from typing import Any

OLD = "    return len([v for v in values if v < limit])"
FILE = f'def count_over(values, limit):\n    """Count the values over limit."""\n{OLD}'
SAID = f"`count_over([1, 5], 3)` gave 2, not 1: in `{OLD.strip()}`, `<` must be `>`."


def transcript(name: str = "counts") -> dict[str, Any]:
    """One that reads, edits and says so; `name` is the file's."""
    return {
        "seed": 0,
        "kind": "cmp",
        "masked": [],
        "messages": [
            {"role": "user", "content": "<context>\ndate\n</context>\nFix the failing test."},
            call("", "read_file", file_path=f"{name}.py"),
            {"role": "tool", "content": FILE},
            call(SAID, "edit", file_path=f"{name}.py", old_string=OLD, new_string=OLD.replace("<", ">")),
            {"role": "tool", "content": f"Edited {name}.py at line 3."},
            {"role": "assistant", "content": "Fixed."},
        ],
    }


def write_transcripts(path: Path, count: int) -> Path:
    """`count` of them, each of another file, as JSONL."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(transcript("abcdefgh"[n % 8] * (1 + n))) for n in range(count)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def call(content: str, name: str, **arguments: str) -> dict[str, Any]:
    """What the assistant says, and one call of a tool."""
    call = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": content, "tool_calls": [call]}
