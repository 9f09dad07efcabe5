"""What an image is, told from its bytes alone."""

import base64
from pathlib import Path

import pytest

from app.workspace.files.images import ImageFacts, image_facts
from app.workspace.files.reading import read_document

# 3 pixels wide and 2 high, by each format's description; of each the bytes up to its size.
IMAGES = {
    "PNG": "iVBORw0KGgoAAAANSUhEUgAAAAMAAAACCAIAAAAS",
    "GIF": "R0lGODdhAwACAIEAAP8=",
    "BMP": "Qk1OAAAAAAAAADYAAAAoAAAAAwAAAAIAAAABABgA",
    "JPEG": "/9j/4AAQSkZJRgABAQAAAQABAAD/wAARCAACAAMDASIAAhEBAxEB",
    "WebP": "UklGRiIAAABXRUJQVlA4TBUAAAAvAkAAAAAAAAAAAAAA",
}


@pytest.mark.parametrize("kind", IMAGES)
def test_an_image_is_described_by_kind_and_size(kind: str, tmp_path: Path) -> None:
    data = base64.b64decode(IMAGES[kind])
    assert image_facts(data) == ImageFacts(kind, 3, 2)
    assert all(image_facts(data[:length]) in (None, ImageFacts(kind, 3, 2)) for length in range(len(data)))
    (tmp_path / "a").write_bytes(data + b"\0\xff" * 9)
    assert f"a {kind} image of 3 × 2 pixels" in read_document(tmp_path / "a", "a").notice
