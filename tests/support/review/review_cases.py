"""Random files and edits for the review tests, and a git repository to hold them against."""

import os
import subprocess
from pathlib import Path

from hypothesis import strategies as st

from app.review.review import Review

_LINES = [
    b"a",
    b"b",
    b"c",
    b"",
    b"def f():",
    b"    return x",
    b"    return y",
    "naïve ✓".encode(),
    b"\xff\xfe",
    b"-- a",
]

lines = st.builds(
    lambda text, ending: text + ending,
    st.sampled_from(_LINES),
    st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r\r\n"]),
)


@st.composite
def contents(draw: st.DrawFn, largest: int = 24) -> bytes:
    """A file's content: few distinct lines, so that edits touch and overlap; perhaps no newline at its end."""
    data = b"".join(draw(st.lists(lines, max_size=largest)))
    return data[:-1] if data and draw(st.integers(0, 3)) == 0 else data


@st.composite
def edited(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` after a few random splices."""
    parts = [line + b"\n" for line in data.split(b"\n")]
    parts[-1] = parts[-1][:-1]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(parts)))
        end = min(len(parts), start + draw(st.integers(0, 3)))
        parts[start:end] = draw(st.lists(lines, max_size=3))
    result = b"".join(parts)
    return result[:-1] if result and draw(st.integers(0, 5)) == 0 else result


@st.composite
def edits(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A content and what became of it."""
    before = draw(contents())
    return before, draw(edited(before))


def git(root: Path, *arguments: str, data: bytes | None = None, check: bool = True) -> bytes:
    """Run git in `root`, away from the settings of whoever runs the tests; returns its output."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@localhost",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@localhost",
    }
    done = subprocess.run(
        ["git", *arguments], cwd=root, input=data, capture_output=True, check=False, env=environment
    )
    if check and done.returncode:
        raise AssertionError(f"git {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def keep_all(review: Review) -> None:
    """Keep everything that is pending."""
    review.keep(review.hunk_ids())


def reject_all(review: Review) -> str:
    """Reject everything, kept or pending."""
    return review.reject(review.hunk_ids())


def put_index(root: Path, files: dict[str, bytes]) -> None:
    """Make the index hold exactly `files`."""
    stream = b"".join(
        b"blob\nmark :%d\ndata %d\n%s\n" % (n, len(data), data) for n, data in enumerate(files.values(), 1)
    )
    marks = root / "marks"
    git(root, "fast-import", "--quiet", f"--export-marks={marks}", data=stream)
    names = dict(line.split() for line in marks.read_bytes().splitlines())
    entries = b"".join(
        b"100644 %s\t%s\n" % (names[b":%d" % n], path.encode()) for n, path in enumerate(files, 1)
    )
    (root / ".git" / "index").unlink(missing_ok=True)
    git(root, "update-index", "--index-info", data=entries)


def get_index(root: Path) -> dict[str, bytes]:
    """What the index holds, by path."""
    listed = [line.split(b"\t") for line in git(root, "ls-files", "-s").splitlines()]
    asked = b"".join(entry.split()[1] + b"\n" for entry, _ in listed)
    answer = git(root, "cat-file", "--batch", data=asked)
    result: dict[str, bytes] = {}
    for _, path in listed:
        header, _, answer = answer.partition(b"\n")
        size = int(header.split()[2])
        result[path.decode()], answer = answer[:size], answer[size + 1 :]
    return result
