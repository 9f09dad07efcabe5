"""Agent sessions as scripts: each request, and the earlier reply that it continues."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SYSTEM = 6 * (
    "You are a coding agent in a terminal workspace. Read before you write, change as little as you can, run "
    "the tests after every change, and say in one sentence what you did and why. "
)

_TOOLS = {
    "read_file": (("file_path",), "Read a file of the repository."),
    "edit": (("file_path", "old_string", "new_string"), "Replace text in a file."),
    "run_shell_command": (("command",), "Run a command and return its output."),
    "grep_search": (("pattern",), "Search the repository for a pattern."),
}

_WORDS = (
    "parse token buffer return index match value cache layer stream state error test file path line module",
    "class import config option default result branch commit merge review patch hunk window engine prefix",
)


def tools() -> list[dict[str, Any]]:
    """The tools that every session offers."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": description,
                "parameters": {
                    "type": "object",
                    "properties": {argument: {"type": "string"} for argument in arguments},
                    "required": list(arguments),
                },
            },
        }
        for name, (arguments, description) in _TOOLS.items()
    ]


@dataclass(frozen=True, slots=True)
class Step:
    """One request: `message` after the reply of step `parent` of the same script (None: after the system
    prompt). `restart`: the server is restarted first. `cut`: the reply is cut short by a client that
    disconnects ("left"), or by a stop string."""

    message: dict[str, Any]
    parent: int | None
    restart: bool = False
    cut: Literal["left", "stop string"] | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A session. Scripts run one after the other on one server, each with its own system prompt."""

    name: str
    steps: tuple[Step, ...]

    @property
    def system(self) -> dict[str, Any]:
        """The system message."""
        return {"role": "system", "content": f"Session: {self.name}. {SYSTEM}"}


def chat_scripts(chats: Iterable[Sequence[Mapping[str, Any]]]) -> tuple[Script, ...]:
    """Recorded chats as sessions: what users and tools said in them; the replies are the model's own."""
    return tuple(
        Script(
            f"chat {number}",
            tuple(
                Step({"role": message["role"], "content": message["content"]}, index - 1 if index else None)
                for index, message in enumerate(said)
            ),
        )
        for number, chat in enumerate(chats, 1)
        for said in [[message for message in chat if message["role"] in ("user", "tool")]]
    )


def scripts() -> tuple[Script, ...]:
    """The sessions that the bench replays where no chats are given, the same on every run."""
    return (
        Script("linear", tuple(Step(_user(f"linear {n}"), n - 1 if n else None) for n in range(8))),
        _rewind(6),
        Script(
            "edited first message",
            (
                Step(_user("first wording"), None),
                Step(_user("and then"), 0),
                Step(_user("second wording"), None),
                Step(_user("and then"), 2),
                Step(_user("third wording"), None),
            ),
        ),
        Script("shared system prompt", tuple(Step(_user(f"session {n}"), None) for n in range(5))),
        Script(
            "two interleaved",
            tuple(Step(_user(f"{'ab'[n % 2]} {n}"), n - 2 if n > 1 else None) for n in range(10)),
        ),
        Script(
            "restart",
            (
                Step(_user("before 0"), None),
                Step(_user("before 1"), 0),
                Step(_user("after one restart"), 1, restart=True),
                Step(_user("goes on"), 2),
                Step(_user("rewound after another"), 0, restart=True),
            ),
        ),
        _tool_results((5, 40, 300, 1000, 3000)),
        Script(
            "reply broken off",
            (
                Step(_user("is left in mid-reply"), None, cut="left"),
                Step(_user("goes on"), 0),
                Step(_user("is left again"), 1, cut="left"),
                Step(_user("after a restart"), 2, restart=True),
            ),
        ),
        Script(
            "stop string",
            (
                Step(_user("what would be said"), None),
                Step(_user("is stopped in it"), 0, cut="stop string"),
                Step(_user("goes on"), 1),
                Step(_user("after a restart"), 1, restart=True),
            ),
        ),
    )


def _rewind(turns: int) -> Script:
    """A conversation of `turns` turns, then another message after each of its replies, the latest first."""
    told = [Step(_user(f"turn {n}"), n - 1 if n else None) for n in range(turns)]
    again = [Step(_user(f"instead {n}"), n) for n in reversed(range(turns - 1))]
    return Script("rewind to each turn", (*told, *again))


def _tool_results(words: tuple[int, ...]) -> Script:
    steps = [Step(_user("use the tools"), None)]
    for number, count in enumerate(words):
        content = text(f"result {number}", count)
        result = {"role": "tool", "tool_call_id": f"call_{number}", "content": content}
        steps.append(Step(result, number))
    return Script("tool results", tuple(steps))


def _user(topic: str) -> dict[str, Any]:
    return {"role": "user", "content": text(topic, 30)}


def text(topic: str, words: int) -> str:
    """A text of `words` words that begins with the topic and is unique to it."""
    choice, known = random.Random(topic), " ".join(_WORDS).split()
    return " ".join([topic, *(choice.choice(known) for _ in range(max(0, words - len(topic.split()))))])
