"""A real project that nobody here wrote: click's source distribution with its own tests, put under git."""

import shutil
import subprocess
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

from tests.support.places import CACHE

ARCHIVE = CACHE / "sources" / "click-8.5.1.tar.gz"

# The project's own tests, in the project's own environment: a sandbox shows nothing else below /tmp.
TEST_COMMAND = (
    "PYTHONPATH=src .venv/bin/python -B -m pytest -q -p no:cacheprovider tests/test_utils tests/test_basic.py"
)
_TEST_PACKAGES = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments")


def git(directory: Path, *arguments: str) -> str:
    """Run git in `directory` and return what it printed."""
    return subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True, text=True).stdout


def real_project(directory: Path) -> Path:
    """Unpack the project below `directory` and commit it; skips the test where `make test` fetched nothing."""
    if not ARCHIVE.exists():
        pytest.skip("the source distribution is not here: run `make test` once with a package index in reach")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(directory, filter="data")
    root = directory / ARCHIVE.name.removesuffix(".tar.gz")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "config", "user.name", "A Developer")
    git(root, "config", "user.email", "developer@example.invalid")
    git(root, "add", "--all", "--force")
    git(root, "commit", "--quiet", "--message", "Import click 8.5.1")
    _make_environment(root)
    return root


def _make_environment(root: Path) -> None:
    """A virtual environment in the project with no more than its tests need, unknown to git."""
    venv.create(root / ".venv", symlinks=True)
    ours = Path(pytest.__file__).parents[1]
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(root / ".venv")}))
    for package in _TEST_PACKAGES:
        shutil.copytree(ours / package, theirs / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ours / "py.py", theirs)  # pytest's own
    (root / ".git" / "info" / "exclude").write_text(".venv/\n")


def tree(root: Path) -> dict[str, bytes]:
    """Every file of the work tree and its bytes, git's own folder, the environment and caches excepted."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not {".git", ".venv", "__pycache__"} & set(path.relative_to(root).parts)
    }
