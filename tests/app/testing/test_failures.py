"""From what runners print to failures with file and line."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.testing.failures import report_of
from app.testing.model import Failure, Report

BROKEN = """\
import unittest

def helper(value):
    assert value == 2, "not two"

class Sums(unittest.TestCase):
    def test_adds(self):
        helper(1)

    def test_loses(self):
        self.assertEqual(1, 2)

    def test_holds(self):
        pass
"""
JEST = """\
 FAIL  src/sum.test.js
  ● sums › adds

    expect(received).toBe(expected) // Object.is equality

      2 | test('adds', () => {
      at Object.toBe (node_modules/expect/index.js:9:1)
      at Object.toBe (src/sum.test.js:3:18)

Tests:       1 failed, 4 passed, 5 total
"""
VITEST = """\
 ❯ src/sum.test.ts (2 tests | 1 failed) 4ms
 FAIL  src/sum.test.ts > sums > adds
AssertionError: expected 3 to be 4 // Object.is equality
 ❯ src/sum.test.ts:5:19
      4|   it('adds', () => {
 Test Files  1 failed (1)
      Tests  1 failed | 1 passed (2)
"""
GO = """\
--- FAIL: TestSum (0.00s)
    --- FAIL: TestSum/negative (0.00s)
        sum_test.go:9: got 1, want 3
FAIL
FAIL\texample.com/m/deep\t0.002s
ok  \texample.com/m\t0.001s
FAIL
"""
CARGO = """\
running 2 tests
test tests::adds ... FAILED
test tests::holds ... ok

failures:

---- tests::adds stdout ----

thread 'tests::adds' (4711) panicked at src/lib.rs:9:9:
assertion `left == right` failed
  left: 3
 right: 4
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

failures:
    tests::adds

test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""
DOES_NOT_BUILD = """\
error[E0425]: cannot find value `y` in this scope
 --> src/lib.rs:2:5
  |
error: could not compile `m` (lib) due to 1 previous error
"""


def ran(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    return done.stdout.decode()


@pytest.mark.parametrize("options", [(), ("-q", "--tb=short", "-rN")], ids=" ".join)
def test_pytest_is_read_however_it_was_asked_to_write(tmp_path: Path, options: tuple[str, ...]) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_sums.py").write_text(BROKEN)
    (tmp_path / "tests" / "test_torn.py").write_text("import nowhere_to_be_found\n")
    output = ran(
        tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "--continue-on-collection-errors", *options
    )
    report = report_of(output, tmp_path, failed=True)
    assert (report.passed, report.failed) == (1, 3)
    places = {(failure.name.split(".")[-1], failure.path, failure.line) for failure in report.failures}
    # The line of the test itself, and not of what it called.
    assert {("test_adds", "tests/test_sums.py", 8), ("test_loses", "tests/test_sums.py", 11)} <= places
    assert any(path == "tests/test_torn.py" and line == 1 for _, path, line in places)
    assert any("not two" in failure.message for failure in report.failures)


def test_unittest_is_read(tmp_path: Path) -> None:
    (tmp_path / "test_sums.py").write_text(BROKEN)
    report = report_of(ran(tmp_path, "-m", "unittest"), tmp_path, failed=True)
    assert (report.passed, report.failed) == (1, 2)
    assert [(one.path, one.line) for one in report.failures] == [("test_sums.py", 8), ("test_sums.py", 11)]
    assert report.failures[0].message == "AssertionError: not two"


@pytest.mark.parametrize(
    ("output", "file", "expected"),
    [
        (JEST, "src/sum.test.js", Report((Failure("sums › adds", "src/sum.test.js", 3),), 4, 1)),
        (VITEST, "src/sum.test.ts", Report((Failure("sums > adds", "src/sum.test.ts", 5),), 1, 1)),
        (GO, "deep/sum_test.go", Report((Failure("TestSum/negative", "deep/sum_test.go", 9),), None, 1)),
        (CARGO, "src/lib.rs", Report((Failure("tests::adds", "src/lib.rs", 9),), 1, 1)),
        (DOES_NOT_BUILD, "src/lib.rs", Report((Failure("build", "src/lib.rs", 2),))),
        (
            "src/a.c:3:7: error: expected ';'\nmake: *** [a.o] Error 1\n",
            "src/a.c",
            Report((Failure("", "src/a.c", 3),)),
        ),
    ],
    ids=["jest", "vitest", "go", "cargo", "rustc", "anything"],
)
def test_other_runners_are_read(tmp_path: Path, output: str, file: str, expected: Report) -> None:
    (tmp_path / "go.mod").write_text("module example.com/m\n")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).touch()
    report = report_of(output, tmp_path, failed=True)
    assert all(failure.message for failure in report.failures)
    told = tuple(Failure(one.name, one.path, one.line) for one in report.failures)
    assert Report(told, report.passed, report.failed) == expected


def test_what_passes_has_no_failures_whatever_it_prints(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    assert report_of(
        "a.py:3: error: expected by the test\n3 passed in 0.01s\n", tmp_path, failed=False
    ) == Report((), 3, 0)


def test_a_file_outside_is_told_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "a.c").touch()
    (failure,) = report_of("../a.c:3: error: no\n", tmp_path / "inside", failed=True).failures
    assert (failure.path, failure.line) == ("../a.c", 0)
