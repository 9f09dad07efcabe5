"""Bytes of a file into several places: none is lost, however little a call reads or may ask for."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_model.weights import scattered


@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    limit=st.integers(1, 60),
    counts=st.lists(st.integers(1, 60), min_size=1),
)
def test_all_bytes_land_in_calls_that_the_system_takes(sizes: list[int], limit: int, counts: list[int]) -> None:
    content = bytes(number % 251 for number in range(sum(sizes)))
    places = [bytearray(size) for size in sizes]
    calls = 0

    def read(offset: int, buffers: Sequence[memoryview]) -> int:
        nonlocal calls
        assert 0 < sum(map(len, buffers)) <= limit
        count = left = min(counts[calls % len(counts)], sum(map(len, buffers)))
        calls += 1
        for buffer in buffers:
            part = min(left, len(buffer))
            buffer[:part] = content[offset : offset + part]
            offset, left = offset + part, left - part
        return count

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scattered, "_BYTES_LIMIT", limit)
        scattered.fill(scattered.Run(Path("file"), 0, tuple(map(memoryview, places))), read)
    assert b"".join(places) == content


@pytest.mark.parametrize(("platform", "asked"), [("darwin", [(7, 48, 1)]), ("linux", [])])
def test_macos_is_asked_to_cache_no_weights(
    monkeypatch: pytest.MonkeyPatch, platform: str, asked: list[tuple[int, int, int]]
) -> None:
    said: list[tuple[int, ...]] = []

    def refuse(*call: int) -> None:
        said.append(call)
        raise OSError("not on this file system")

    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("fcntl.fcntl", refuse)
    scattered.read_once(7)
    assert said == asked
