"""What `python3 -m unittest` prints in a directory, without starting a process."""

import importlib
import io
import linecache
import sys
import unittest
from dataclasses import dataclass
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path

from app.practice.draw import Draw

_LIBRARY = str(Path(unittest.__file__).parent.parent)
_VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LIBRARIES = (
    "/usr/lib/{version}",
    "/usr/local/lib/{version}",
    "/opt/homebrew/Cellar/python@{number}/{number}.4/Frameworks/Python.framework/Versions/{number}/lib/{version}",
    "/Library/Frameworks/Python.framework/Versions/{number}/lib/{version}",
    "/home/user/.pyenv/versions/{number}.7/lib/{version}",
)
_ROOTS = (
    "/tmp/tidegate-practice-{name}",
    "/tmp/practice/{name}",
    "/home/{user}/{name}",
    "/Users/{user}/code/{name}",
    "/Users/{user}/.local/share/tidegate/practice/{name}",
    "/srv/{name}",
    "/private/var/folders/q1/{name}",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a project and Python's library would lie on somebody's machine."""

    root: str
    library: str


def some_machine(draw: Draw) -> Machine:
    """One of many."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789_"
    name = "".join(draw.choice(letters) for _ in range(draw.choice((4, 6, 8))))
    root = draw.choice(_ROOTS).format(name=name, user=draw.choice(("dev", "user", "build", "me", "ada")))
    number = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Machine(root, draw.choice(_LIBRARIES).format(version=_VERSION, number=number))


def run_tests(directory: Path, machine: Machine | None = None) -> tuple[bool, str]:
    """Whether the tests in `directory` pass, and what the command prints, told as of `machine` if one is given.

    Imports the project's modules into this process, and removes them again; what they do they do here. For
    one thread at a time.
    """
    names = {path.stem for path in directory.glob("*.py")}
    held = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    path, finders, writes = list(sys.path), list(sys.meta_path), sys.dont_write_bytecode
    # A test runner that this runs in may have a finder of its own for files named test_*.
    sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    linecache.clearcache()
    stream = io.StringIO()
    try:
        suite = unittest.TestLoader().discover(str(directory), top_level_dir=str(directory))
        passed = unittest.TextTestRunner(stream, verbosity=1).run(suite).wasSuccessful()
    finally:
        sys.path[:], sys.meta_path[:], sys.dont_write_bytecode = path, finders, writes
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(held)
    text = stream.getvalue()
    if machine is not None:
        text = text.replace(str(directory), machine.root).replace(_LIBRARY, machine.library)
    return passed, text
