"""Fingerprints of everything that a stored state depends on: weights, recipe and dtype; and the adapter."""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mlx_model.errors import CheckpointError
from mlx_model.state.prefix_state import KEY_BYTES

STATE_VERSION = "2"
"""Changes when the arrays of a state get other names, shapes or meanings."""

_SAMPLES = 64
_SAMPLE_BYTES = 4096
"""Blocks hashed of each weights file, and bytes of a block: 256 KiB a file, which even a slow disk reads at
once."""
_HEADER_LIMIT = 1 << 28
"""Bytes of a header that are hashed at most; safetensors allows 100 MB."""


def model_fingerprint(directory: Path, settings: Mapping[str, str]) -> str:
    """32 hexadecimal digits that differ whenever states of the model may differ.

    Hashing tens of gigabytes at each start would take too long, so these are hashed of each safetensors file:
    its name, size and modification time, its header, and blocks spread evenly over it. A file copied without
    its times therefore counts as another model, which costs a prefill. `settings`: whatever else the states
    depend on, such as the dtype. Raises CheckpointError when a file cannot be read.

    A fast BLAS belongs to the settings: with MLX's own a restored state is the cold one to the last bit, and
    would not be if the fast one had computed it. Whether packed weights were widened does not: that happens
    only with a fast BLAS, where the chunks that a prompt was computed in change the rounding of a state anyway.
    Nor does the adapter, which is part of each state's own key (see `adapter_fingerprint`).
    """
    digest = hashlib.blake2b(digest_size=16)
    for key, value in sorted({**settings, "state": STATE_VERSION}.items()):
        digest.update(f"{key}={value}\0".encode())
    try:
        for path in _files(directory):
            status = path.stat()
            digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
            for part in _parts(path, status.st_size):
                digest.update(part)
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be read: {error}.") from error
    return digest.hexdigest()


def adapter_fingerprint(directory: Path, files: Iterable[str]) -> bytes:
    """The key of the states that are computed under an adapter (see prefix_state.prefix_digests), from the
    content of its files: an adapter is small. Raises CheckpointError when one cannot be read."""
    digest = hashlib.blake2b(digest_size=KEY_BYTES)
    try:
        for name in files:
            content = (directory / name).read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
    except OSError as error:
        raise CheckpointError(f"{directory} cannot be read: {error}.") from error
    return digest.digest()


def _files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix in {".json", ".safetensors"})


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
