"""How the last test command ended, so that it can be shown beside what the model says of it."""

import re

from app.agent.events import AgentEvent, ToolFinished, ToolStarted
from app.agent.permission.commands.options import names

_RUNNERS = names(
    "pytest py.test unittest tox nox nosetests jest vitest mocha ava karma ctest rspec phpunit nextest"
)
_BUILDERS = names(
    "go cargo npm pnpm yarn bun deno make just gradle gradlew mvn mvnw dotnet swift mix rake zig stack cabal "
    "sbt bazel meson ninja task"
)
_READERS = names("grep rg cat ls find which echo sed awk head tail git pip pip3 man")
_NAMED_TEST = re.compile(r"tests?\b")
_TEST_FILE = re.compile(r"(?:^|/)(?:test_[\w-]+|[\w-]*run[\w-]*tests?)\.\w+$")
_STATUS = re.compile(r"\[Exit status (\d+)\]")


class LastTests:
    """Told of a conversation's events, it knows the last command that ran tests."""

    def __init__(self) -> None:
        self._started: dict[str, str] = {}
        self._command = ""
        self._ending = ""
        self.failed = False
        """Whether it ended with anything but status 0."""
        self._is_before_edit = False
        self._is_news = False

    def apply(self, event: AgentEvent) -> None:
        """Take in one event."""
        match event:
            case ToolStarted(call_id=call_id, name="run_shell_command", arguments=arguments):
                command = str(arguments.get("command", ""))
                if runs_tests(command):
                    self._started[call_id] = command
            case ToolFinished(call_id=call_id, ok=ok, result=result) if call_id in self._started:
                status = _STATUS.search(result)
                self._command = self._started.pop(call_id)
                self._ending = (
                    f"exit status {status[1]}" if status else "exit status 0" if ok else "did not end"
                )
                self.failed, self._is_before_edit, self._is_news = not ok, False, True
            case ToolFinished(name="edit" | "write_file", ok=True):
                self._is_before_edit = self._is_news = True

    def take_words(self) -> str:
        """A sentence on the last tests, "" where none have run, or neither they nor an edit since this was last
        asked."""
        is_news, self._is_news = self._is_news, False
        if not (is_news and self._command):
            return ""
        before = ", before the last edit" if self._is_before_edit else ""
        return f"Last tests: {self._command}, {self._ending}{before}"


def runs_tests(command: str) -> bool:
    """Whether a shell command runs tests, as far as its words say."""
    from app.agent.permission.commands.simple_commands import simple_commands_of  # noqa: PLC0415  no first frame waits for it

    parts, _is_certain = simple_commands_of(command)
    return any(_is_test([word for word in part.words if word is not None]) for part in parts)


def _is_test(words: list[str]) -> bool:
    programs = [word.rpartition("/")[2] for word in words]
    if not programs or programs[0] in _READERS:
        return False
    if _RUNNERS.intersection(programs):
        return True
    after = [programs[at + 1 :] for at, name in enumerate(programs) if name in _BUILDERS]
    if any(_NAMED_TEST.search(name) for rest in after for name in rest[:3]):
        return True
    return any(_TEST_FILE.search(word) for word in words[:3])
