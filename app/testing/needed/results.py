"""What runs of the tests on scratch copies came to, kept by the content of the copy and the command."""

import json
from hashlib import sha256
from pathlib import Path

from app import durable
from app.checked_lines import sealed, unsealed
from app.paths import cache_directory

MOST_BYTES = 1_000_000
"""Of the file, which begins anew beyond: some ten thousand runs."""


class Results:
    """Whether the tests passed on copies that were tried before. Blocks on the disk; raises OSError."""

    def __init__(self, line: str, file: Path | None = None) -> None:
        """`line` is the command."""
        self._line = line
        self._file = file or cache_directory() / "needed-hunks.jsonl"
        self._known = self._read()

    def _read(self) -> dict[str, bool]:
        found: dict[str, bool] = {}
        if self._file.exists():
            for line in self._file.read_bytes().splitlines():
                try:
                    fields = json.loads(unsealed(line))
                    found[fields["key"]] = bool(fields["passes"])
                except (ValueError, KeyError, TypeError):
                    continue  # a damaged line costs a run
        return found

    def _key(self, copy: str) -> str:
        return sha256(f"{copy}\0{self._line}".encode("utf-8", "surrogateescape")).hexdigest()

    def get(self, copy: str) -> bool | None:
        """Whether the tests passed on the copy of this name; None where that is not known."""
        return self._known.get(self._key(copy))

    def put(self, copy: str, passes: bool) -> None:
        """Keep whether they did."""
        key = self._key(copy)
        self._known[key] = passes
        self._file.parent.mkdir(parents=True, exist_ok=True)
        line = sealed(json.dumps({"key": key, "passes": passes}).encode() + b"\n")
        if self._file.exists() and self._file.stat().st_size > MOST_BYTES:
            durable.replace_file(self._file, [line])
        else:
            with self._file.open("ab") as file:
                file.write(line)
