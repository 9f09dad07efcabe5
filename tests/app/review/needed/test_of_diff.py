"""Subsets of a diff's hunks as files are what git makes of the same hunks."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.review.diff.compare import file_change
from app.review.diff.patch import build_patch
from app.review.model import FileImage
from app.review.needed.of_diff import DiffSubsets
from tests.support.review.review_cases import contents, edited, git

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "--quiet")
    git(root, "config", "core.autocrlf", "false")
    return root


@given(data=st.data(), before=contents())
@QUICK
def test_a_subset_is_what_git_makes_of_its_hunks(repository: Path, data: st.DataObject, before: bytes) -> None:
    after = data.draw(edited(before))
    is_new, is_gone = data.draw(st.sampled_from([(False, False)] * 4 + [(True, False), (False, True)]))
    was = None if is_new else FileImage(before)
    image = None if is_gone else FileImage(after)
    change = file_change("f", was, image, context=1)
    if change is None or (is_gone and was is None):
        return
    found = DiffSubsets([change], {"f": image})
    names = [hunk.id for hunk in change.hunks]
    if not change.hunks[0].lines:  # an empty file made or removed
        assert not found.movable
        return
    assert found.movable == set(names)
    kept = data.draw(st.sets(st.sampled_from(names)))
    place = repository / "f"
    place.unlink(missing_ok=True)
    if was is not None:
        place.write_bytes(was.data)
    if patch := build_patch(change, dict.fromkeys(kept)):
        git(repository, "apply", "--unidiff-zero", "--whitespace=nowarn", data=patch)
    files = found.files(kept)
    assert files == {"f": FileImage(place.read_bytes()) if place.exists() else None}


def test_what_does_not_lie_in_the_file_as_the_diff_says_stays_in() -> None:
    before, after = FileImage(b"1\n2\n3\n"), FileImage(b"1\ntwo\n3\n")
    change = file_change("f", before, after)
    assert change is not None
    assert DiffSubsets([change], {"f": FileImage(b"1\r\ntwo\r\n3\r\n")}).movable == frozenset()
