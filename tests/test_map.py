"""The pages at the door are true: what they name exists, every room has a line, versions agree."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.places import ROOT
from tests.support.programs.keys_page import page

MAP = ROOT / ".github" / "ARCHITECTURE.md"
PAGES = [ROOT / "README.md", *sorted((ROOT / ".github").rglob("*.md"))]
PROGRAMS = ("app", "mlx_model")


def packages(*tops: str) -> set[str]:
    return {
        f"{init.parent.relative_to(ROOT).as_posix()}/"
        for top in tops
        for init in (ROOT / top).rglob("__init__.py")
    }


@pytest.mark.parametrize("written", PAGES, ids=lambda path: path.name)
def test_what_a_page_names_exists(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    named = re.findall(r"`((?:app|mlx_model|tests|assets|\.github)/[\w./*-]*)`", text)
    linked = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    missing = [name for name in named if not (ROOT / name).exists()]
    missing += [link for link in linked if not (written.parent / link).exists()]
    assert not missing


def test_every_room_has_a_line_in_the_map() -> None:
    lines = MAP.read_text(encoding="utf-8").splitlines()
    rooms = {match[1] for line in lines if (match := re.match(r"\| `([\w./]+)` \|", line))}
    loose = {
        path.relative_to(ROOT).as_posix()
        for top in PROGRAMS
        for path in (ROOT / top).glob("*.py")
        if path.name != "__init__.py"
    }
    assert rooms >= (packages(*PROGRAMS) - {"app/", "mlx_model/"}) | loose


def test_tests_mirror_the_rooms() -> None:
    mirrored = {room.removeprefix("tests/") for room in packages(*(f"tests/{top}" for top in PROGRAMS))}
    assert mirrored <= packages(*PROGRAMS)


def test_the_version_is_the_newest_in_the_changelog() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    changelog = (ROOT / ".github" / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.MULTILINE)
    command = [sys.executable, "-m", "app.cli", "--version"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert newest and newest[1] == project["version"] == said.split()[-1]


def test_the_page_of_keys_is_that_of_the_table() -> None:
    assert (ROOT / ".github" / "docs" / "keys.md").read_text(encoding="utf-8") == page()


def test_every_test_that_needs_a_mac_is_marked_and_counted() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "tests/test_on_a_mac.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    skipped = re.search(r"(\d+) tests need a Mac and were not run here\n(\d+) skipped", said)
    assert sys.platform == "darwin" or (skipped is not None and int(skipped[1]) == int(skipped[2]) > 20), said
    # Nowhere else is a test left out because this is no Mac.
    left_out = re.compile(r"skip(?:if)?\([^)]*(?:!= \"darwin\"|not .*darwin)")
    assert [
        path.name for path in (ROOT / "tests").rglob("test_*.py") if left_out.search(path.read_text())
    ] == []
