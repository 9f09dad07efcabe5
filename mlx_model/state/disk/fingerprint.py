"""What a stored state depends on, in one short word: weights, recipe, adapter, dtype."""

import hashlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from mlx_model.errors import CheckpointError

STATE_VERSION = "2"
"""Changes when the arrays of a state get other names, shapes or meanings."""

_SAMPLES = 64
_SAMPLE_BYTES = 4096
_HEADER_LIMIT = 1 << 28


def model_fingerprint(directory: Path, adapter: Path | None, settings: Mapping[str, str]) -> str:
    """32 hexadecimal digits that differ whenever states of the model may differ.

    Hashing tens of gigabytes at each start is out of the question, so of each safetensors file these count: its
    name, size and time of change, its header, and blocks spread evenly over it. A file copied without its times
    is thus another model, which costs a prefill; an altered one is never taken for the old one. `settings` are
    whatever else matters, the dtype first of all. Raises CheckpointError when a file cannot be read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for key, value in sorted({**settings, "state": STATE_VERSION}.items()):
        digest.update(f"{key}={value}\0".encode())
    try:
        for path in _files(directory, adapter):
            status = path.stat()
            digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
            for part in _parts(path, status.st_size):
                digest.update(part)
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be read: {error}.") from error
    return digest.hexdigest()


def _files(directory: Path, adapter: Path | None) -> Iterator[Path]:
    for folder in (directory, adapter):
        if folder is not None:
            yield from sorted(path for path in folder.iterdir() if path.suffix in {".json", ".safetensors"})


def _parts(path: Path, size: int) -> Iterator[bytes]:
    if path.suffix == ".json":
        yield path.read_bytes()
        return
    with path.open("rb") as file:
        start = file.read(8)
        yield start
        if len(start) == 8:
            yield file.read(min(struct.unpack("<Q", start)[0], _HEADER_LIMIT))
        for sample in range(_SAMPLES):
            file.seek(size * sample // _SAMPLES)
            yield file.read(_SAMPLE_BYTES)
