"""Where the expert works: a directory with a task's files, and the agent's own tools on it."""

import asyncio
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.agent.errors import ToolFailure
from app.agent.loop_guard import LoopGuard
from app.agent.shell.jobs import Jobs
from app.agent.tools.base import ToolContext
from app.agent.tools.files import Files
from app.agent.tools.toolbox import TOOLS
from app.model.messages import ToolCall
from app.practice.draw import Draw
from app.practice.execution import Case, outcomes
from app.practice.expert.running import Machine, run_tests, some_machine
from app.practice.model import PracticeTask
from app.review.unrecorded import Unrecorded
from app.workspace.workspace import Workspace


async def _print(_text: str) -> None:
    """What a command prints while it runs is not shown."""


def _tests(texts: Mapping[str, str]) -> list[Case]:
    """A case for each test method in the modules."""
    found = []
    for text in texts.values():
        for name in re.findall(r"^class (\w+)\(unittest", text, re.MULTILINE):
            methods = re.findall(r"^    def (test_\w+)\(", text, re.MULTILINE)
            found += [Case((), f"{name}({method!r}).debug()") for method in methods]
    return found


class Stage:
    """One directory for many tasks. `close` removes it."""

    def __init__(self) -> None:
        self._holder = tempfile.TemporaryDirectory(prefix="tidegate-practice-")
        self._workspace = Workspace(self._holder.name)
        self._runner = asyncio.Runner()
        self._made: set[Path] = set()
        self._machine = Machine("", "")

    def close(self) -> None:
        """Remove the directory."""
        self._runner.close()
        self._holder.cleanup()

    def set(self, task: PracticeTask, draw: Draw) -> None:
        """Put the task's files there instead of the last one's; a session begins."""
        for made in self._made:
            made.unlink()
        self._made = {self._workspace.root / path for path in task.files}
        for path, text in task.files.items():
            (self._workspace.root / path).write_text(text, encoding="utf-8", newline="\n")
        self._machine = some_machine(draw)
        self._files = Files(Unrecorded())
        self._guard = LoopGuard()
        self._runs: dict[str, tuple[bool, str]] = {}

    def text(self, path: str) -> str:
        """A file as it is now."""
        return (self._workspace.root / path).read_text(encoding="utf-8")

    def passes(self) -> bool:
        """Whether the tests pass now."""
        return self._run()[0]

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """What the agent would tell the model of this call.

        Raises Endless for tests that do not end, and Dubious for code that Python warns of.
        """
        tool = TOOLS[name]
        context = ToolContext(self._workspace, self._files, Jobs(self._workspace.root), _print)
        if name == "run_shell_command":
            passed, text = self._run()
            # As app.agent.tools.run_shell_command puts it; a test holds the two together.
            result = text.rstrip("\n") + ("" if passed else "\n[Exit status 1]")
        else:
            written = tool.arguments.model_validate(arguments)
            try:
                result = self._runner.run(tool.run(written, context)).text
            except ToolFailure as error:
                result = str(error)
        call = ToolCall("", name, repr(arguments))
        return result + self._guard.warning(self._guard.note(call, result, bool(context.changed)))

    def _run(self) -> tuple[bool, str]:
        texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(self._made)}
        key = "\0".join(texts.values())
        if key not in self._runs:
            outcomes(texts, _tests(texts))  # counted, and so brought to an end
            self._runs[key] = run_tests(self._workspace.root, self._machine)
        return self._runs[key]
