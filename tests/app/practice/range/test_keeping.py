"""Which practice folders are removed."""

import os
import subprocess
import sys
from pathlib import Path

from app.agent.session.session import new_journal, sessions_directory
from app.paths import data_directory
from app.practice.range.keeping import KEPT, make_room
from app.review.log.store import review_directory
from app.review.model import FileImage
from app.review.review import Review

HOLDING = "import sys; from pathlib import Path; from app.practice.range.keeping import hold; \
hold(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"


def folder(number: int, *, age: int) -> Path:
    """One that was changed so many seconds ago."""
    made = data_directory() / "practice" / f"task-{number}"
    made.mkdir(parents=True)
    (made / "code.py").write_text("a = 1\n")
    changed = made.stat().st_mtime - age
    os.utime(made, (changed, changed))
    return made


def change(root: Path) -> Review:
    """What the agent does to the folder's file."""
    times = root.stat()
    review = Review(root)
    review.begin_turn(1)
    review.record("code.py", FileImage(b"a = 1\n"), FileImage(b"a = 2\n"))
    (root / "code.py").write_text("a = 2\n")
    review.end_turn(1)
    os.utime(root, (times.st_mtime, times.st_mtime))
    return review


def test_the_oldest_go_but_none_that_is_open_or_undecided() -> None:
    newest = [folder(number, age=number) for number in range(KEPT)]
    plain, decided, undecided, resumed, opened = (folder(100 + n, age=1000 + n) for n in range(5))
    decisions = change(decided)
    decisions.keep(decisions.hunk_ids())
    change(undecided)
    new_journal(plain).close()
    journal = new_journal(resumed)
    command = [sys.executable, "-c", HOLDING, str(opened)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as window:
        assert window.stdout is not None
        assert window.stdout.readline() == b"held\n"
        make_room(opened.parent)
        assert [path for path in (*newest, undecided, resumed, opened) if not path.is_dir()] == []
        gone = [
            where(path) for path in (plain, decided) for where in (Path, sessions_directory, review_directory)
        ]
        assert not any(path.exists() for path in gone)
        window.communicate()
    journal.close()
    make_room(opened.parent)
    assert not opened.exists() and not resumed.exists() and undecided.is_dir()
