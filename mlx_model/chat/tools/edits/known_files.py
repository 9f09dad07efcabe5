"""A cache of file texts that clients have sent, by their hash, so that no text is sent twice."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlx_model.chat.tools.edits.exact_edits import Files, normal_path
from mlx_model.chat.tools.edits.quotation import QuotableText, QuotingTokens
from mlx_model.errors import RequestError

_MOST_BYTES = 64 << 20
"""Bytes of texts that are kept while no request names them; the index of each takes four times as much
again."""


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file of a request: its paths, the SHA-256 of its UTF-8 text in hexadecimal digits, and the text where
    the client sends it."""

    paths: Sequence[str]
    sha256: str
    text: str | None = None


class FilesMissing(RequestError):
    """A request names texts that the engine does not have; `hashes` are theirs."""

    def __init__(self, hashes: Sequence[str]) -> None:
        self.hashes = tuple(hashes)
        super().__init__(f"The texts of {len(hashes)} files are not known here: send them along.")


class FileTampered(RequestError):
    """A text does not match its hash."""


class KnownFiles:
    """Keeps the texts that were named last. Safe from any thread."""

    def __init__(self, tokens: QuotingTokens, most_bytes: int = _MOST_BYTES) -> None:
        self._tokens = tokens
        self._most_bytes = most_bytes
        self._texts: OrderedDict[str, QuotableText] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(self, files: Iterable[NamedFile]) -> Files:
        """The texts that can be quoted, by path. Raises FilesMissing or FileTampered."""
        found: dict[str, QuotableText] = {}
        missing: list[str] = []
        with self._lock:
            for file in files:
                text = self._text(file)
                if text is None:
                    missing.append(file.sha256)
                elif text.is_quotable:
                    found.update({normal_path(path): text for path in file.paths})
            if missing:
                raise FilesMissing(missing)
            self._forget(set(found.values()))
        return found

    def _text(self, file: NamedFile) -> QuotableText | None:
        if file.sha256 in self._texts:
            self._texts.move_to_end(file.sha256)
            return self._texts[file.sha256]
        if file.text is None:
            return None
        text = QuotableText(self._tokens, file.text)
        if hashlib.sha256(text.bytes).hexdigest() != file.sha256:
            raise FileTampered(f"The text sent for {file.paths[0]} is not the one that its hash names.")
        self._texts[file.sha256] = text
        return text

    def _forget(self, needed: set[QuotableText]) -> None:
        """Drops the texts that were named longest ago, beyond the limit; never those in `needed`."""
        held = sum(len(text.bytes) for text in self._texts.values())
        for sha256, text in list(self._texts.items()):
            if held <= self._most_bytes:
                break
            if text not in needed:
                held -= len(text.bytes)
                del self._texts[sha256]
