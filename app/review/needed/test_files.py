"""Which files hold tests, by what they are called."""

import re

_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs", "testing", "testdata"})
# test_a.py, a_test.go, a.test.ts, a-spec.rb, ATest.java, ATests.cs, conftest.py
_NAMES = re.compile(r"(?i:^tests?[._-]|^(?:tests?|conftest)$|[._-](?:tests?|spec)$)|Tests?$")


def is_test_file(path: str) -> bool:
    """Whether the file at `path`, relative to the root, is one of the project's tests or belongs to them."""
    *folders, name = path.split("/")
    return not _FOLDERS.isdisjoint(folder.lower() for folder in folders) or bool(
        _NAMES.search(name.rpartition(".")[0] or name)
    )
