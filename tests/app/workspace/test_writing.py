"""What a file has beside its content is there after an edit and after a decision."""

import os
from pathlib import Path

import pytest

from app.review.disk import WorkTree
from app.review.model import FileImage
from app.workspace.files.writing import write_bytes


def by_the_agent(path: Path, data: bytes) -> None:
    write_bytes(path, data)


def by_the_review(path: Path, data: bytes) -> None:
    WorkTree(path.parent).write(path.name, FileImage(data, 0o100755))


@pytest.mark.parametrize("write", [by_the_agent, by_the_review])
def test_owner_mode_attributes_and_other_names_stay(write, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a longer text\n")
    path.chmod(0o750)
    if os.geteuid() == 0:
        os.chown(path, 12345, 12346)
    try:
        os.setxattr(path, "user.tag", b"red")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    before = path.stat()
    write(path, b"short\n")
    after = path.stat()
    assert path.read_bytes() == b"short\n" and after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.getxattr(path, "user.tag") == b"red"
    (tmp_path / "other").hardlink_to(path)
    write(path, b"new\n")
    assert (tmp_path / "other").read_bytes() == b"new\n" and path.stat().st_nlink == 2
    assert path.stat().st_mode == before.st_mode
