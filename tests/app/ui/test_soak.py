"""Everything a user can do, at random: actions in every pane and dialog, typing, other sizes, files that change
outside, an agent that works and asks. Nothing may raise, nothing may be logged, and memory stays flat."""

import asyncio
import gc
import logging
import random
import sys
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from functools import _lru_cache_wrapper, reduce
from operator import and_, or_
from pathlib import Path
from shutil import rmtree
from statistics import linear_regression

import pytest
from textual import events
from textual._styles_cache import StylesCache
from textual.keys import _character_to_key

from app.agent.events import (
    AgentEvent,
    FilesChanged,
    Noticed,
    PromptProgressed,
    ReplyBroken,
    ReplyFinished,
    TextStreamed,
    ThoughtStreamed,
    TodosChanged,
    ToolCallStreamed,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from app.agent.port import PermissionRequest
from app.model.events import EngineStatus, Finished, PromptProgress
from app.ui.dialogs.confirm import Confirm
from app.ui.find.finder import Finder
from app.ui.keys.actions import ACTIONS, Action
from app.ui.screens.model import ModelScreen
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from tests.support.review.review_cases import git
from tests.support.ui.screen import READY, ScriptedAgent, Stage, edit

# What leaves the application, or starts another one.
LEAVES = {
    "app.quit",
    "app.suspend",
    "prompt.editor",
    "practice.next",
    "review.edit_file",
    "standalone.leave",
    "standalone.quit",
    "tests.outside",
    "tree.edit_outside",
    "viewer.edit_outside",
}
NAMES = ("a.py", "b.txt", "docs/c.md", "docs/deep/d.json", "é漢.txt", "bin.dat", "new.py", "e space.py")
CONTENTS = (
    b"def one():\n    return 1\n",
    b"def one():\n    return 2\n\n\ndef two():\n    return one()\n",
    b"one\r\ntwo\r\n\tthree\r\n",
    b"\xef\xbb\xbf# caf\xc3\xa9\n\n- \xe6\xbc\xa2\xe5\xad\x97\n" * 20,
    b"\0\1\2",
    b"",
    b"x" * 5_000 + b"\n" + b"y\n" * 300,
    b"<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> other\n",
)
TYPED = 'zxqk01 (:"é漢🎉/@{'
KEYS = (
    "enter",
    "escape",
    "tab",
    "shift+tab",
    "up",
    "down",
    "left",
    "right",
    "pageup",
    "pagedown",
    "home",
    "end",
)
EDITS = ("backspace", "delete", "ctrl+w", "ctrl+u", "ctrl+a", "shift+down", "ctrl+home", "ctrl+right")
SIZES = ((80, 24), (120, 40), (200, 60), (100, 30), (40, 12), (20, 5), (5, 3), (1, 1), (500, 3))
_WARM = 4_000  # steps, after which everything was opened
_MOST_MORE = 4_000  # blocks, of about 600,000, by which the trend may rise with every 500 steps
_FEW = 200  # objects of one type
GIT = (
    "add -A",
    "commit -qam more",
    "checkout -q -- .",
    "stash -q",
    "stash pop -q",
    "mv a.py moved.py",
    "reset -q",
)
MARKDOWN = (
    "Some *words*, ",
    "a `name`.\n\n",
    "```python\nx = 1\n```\n",
    "- item\n",
    "| a | b |\n|--|--|\n",
    "漢字 ",
)


@dataclass(frozen=True, slots=True)
class Held:
    """Memory that is in use: blocks of Python's allocator, and objects of our own by their types."""

    blocks: int
    ours: Counter[str]

    @classmethod
    def now(cls) -> "Held":
        types = [type(one) for one in gc.get_objects()]
        ours = Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in types if is_ours(kind))
        return cls(sys.getallocatedblocks(), ours)


def is_ours(kind: type) -> bool:
    # Some types of C have a descriptor in the place of a name.
    return isinstance(kind.__module__, str) and kind.__module__.startswith("app.")


class Soak:
    """One application under random use; `trail` is what was done last."""

    def __init__(self, root: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.root = root
        self.stage = Stage(root, self._works, show_file="a.py")
        self.trail: deque[str] = deque(maxlen=40)
        self.turns = 0
        self.done: set[str] = set()
        self._actions = [action for action in ACTIONS if action.id not in LEAVES]
        # Rarely, for each takes a while or changes what all others are done to.
        rare = {"app.palette", "workspace.model", "workspace.terminal", "workspace.run_tests", "tests.run"}
        self._weights = [0.1 if action.id in rare else 1.0 for action in self._actions]

    async def _works(self, agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
        chance = self.chance
        yield PromptProgressed(PromptProgress(1000, 10, 500, 10))
        yield ThoughtStreamed("Let me see.")
        for number in range(chance.randint(1, 5)):
            for _ in range(chance.randint(0, 6)):
                yield TextStreamed(chance.choice(MARKDOWN))
            call = f"{id(agent)}-{len(agent.heard)}-{number}"
            match chance.randrange(5):
                case 0:
                    assert agent.asker is not None
                    yield ToolCallStreamed(call, "run_shell_command", '{"command": "make')
                    request = PermissionRequest(
                        call, "run_shell_command", {"command": "make"}, "make all", "it runs a program", "make"
                    )
                    answer = await agent.asker.ask(request)
                    yield ToolFinished(call, "run_shell_command", answer.answer != "deny", "done\n", "")
                case 1:
                    yield ToolStarted(call, "run_shell_command", {}, "$ make all")
                    yield ToolOutput(call, "line\n" * chance.randint(0, 50))
                    yield ToolFinished(call, "run_shell_command", True, "line\n[Exit status 0]", "")
                case 2:
                    name = chance.choice(NAMES[:4]).replace(".", "__")
                    self.turns += 1
                    text = chance.choice(CONTENTS[:3]).decode()
                    (self.root / name.replace("__", ".")).parent.mkdir(parents=True, exist_ok=True)
                    edit(self.stage.review, self.root, self.turns, "words", **{name: text})
                    yield FilesChanged((name.replace("__", "."),))
                case 3:
                    yield TodosChanged((("Look", "completed"), ("Write", "in_progress")))
                    yield Noticed("Something to know.")
                case 4:
                    yield ReplyBroken("the engine ended; the reply begins again.")
            yield ReplyFinished(Finished("stop", 1000, 20, 500))

    async def step(self) -> None:
        """Do one thing."""
        chance, stage = self.chance, self.stage
        is_over = stage.app.screen is not stage.screen
        kind = chance.choices(
            ("action", "key", "edit", "type", "size", "disk", "git", "say", "engine", "mouse"),
            (3 if is_over else 12, 5, 1, 3, 0.5, 1, 0.2, 0.5, 0.1, 0.5),
        )[0]
        match kind:
            case "action":
                await self._act(chance.choices(self._actions, self._weights)[0])
            case "key" if not (is_over and isinstance(stage.app.screen, ModelScreen)):
                await self._press(chance.choice(KEYS))
            case "edit":
                await self._press(chance.choice(EDITS))
            case "type":
                for _ in range(chance.randint(1, 4)):
                    await self._press(chance.choice(TYPED))
            case "size":
                size = chance.choice(SIZES)
                self.trail.append(f"size {size}")
                await stage.pilot.resize_terminal(*size)
            case "disk":
                self._somebody_writes()
            case "git":
                command = chance.choice(GIT)
                self.trail.append(f"git {command}")
                await asyncio.to_thread(git, self.root, *command.split(), check=False)
            case "say":
                self.trail.append("say")
                stage.screen.agent.turns.send("Do something. " * chance.randint(1, 9))
            case "mouse":
                width, height = stage.app.size
                x, y = chance.randrange(width), chance.randrange(height)
                self.trail.append(f"click {x}, {y}")
                for kind_of in (events.MouseDown, events.MouseUp):
                    stage.app.post_message(kind_of(None, x, y, 0, 0, 1, False, False, False, x, y))
            case _:
                self.trail.append(kind)
                phase = chance.choice((READY, EngineStatus("failed", "it ended"), EngineStatus("loading", "")))
                stage.engine.become(phase)
        # Out of dialogs again, mostly; and no dialog is left for ever.
        if stage.app.screen is not stage.screen and chance.random() < 0.15:
            await self._press("escape")
        # Not until all is quiet, which would take most of the time: actions may overtake what is under way.
        await stage.pilot.pause(0)
        assert stage.app._exception is None and stage.app.is_running, "it ended"

    async def _press(self, key: str) -> None:
        self.trail.append(f"press {key}")
        # Not here: what Enter fetches from there is many gigabytes.
        if not isinstance(self.stage.app.screen, ModelScreen) or key in ("escape", "up", "down"):
            character = key if len(key) == 1 else None
            self.stage.app.post_message(events.Key(_character_to_key(key) if character else key, character))

    async def _act(self, action: Action) -> None:
        app, screen = self.stage.app, self.stage.app.screen
        namespace = None
        if screen is not self.stage.screen:
            # In a dialog an action is a key, which is for whoever has it there.
            if action.scope == "find" and isinstance(screen, Finder):
                namespace = screen
            elif action.scope not in ("permission", "sessions", "find"):
                if action.scope != "app":
                    await self._press(action.keys[0])
                return
            else:
                return
        elif action.scope == "lines":
            namespace = next(iter(screen.query("LineView")), None)
        elif action.scope in ("sessions", "find"):
            return
        self.trail.append(action.id)
        self.done.add(action.id)
        if namespace is not None:
            await app.run_action(action.handler, default_namespace=namespace)
        else:
            await app.action_perform(action.id)

    def _somebody_writes(self) -> None:
        path = self.root / self.chance.choice(NAMES)
        self.trail.append(f"disk {path.name}")
        if path.exists() and self.chance.random() < 0.3:
            path.unlink()
        elif not path.parent.exists():
            path.parent.mkdir(parents=True)
        elif path.parent != self.root and self.chance.random() < 0.1:
            rmtree(path.parent)
        elif path.parent.exists() and not path.is_dir():
            path.write_bytes(self.chance.choice(CONTENTS))

    async def at_rest(self) -> "Held":
        """Out of every dialog, with nothing said, under review or under way: what is held. Caches with a bound
        are emptied, for some take thousands of steps to fill."""
        stage = self.stage
        await stage.pilot.resize_terminal(120, 40)
        for _ in range(50):
            if stage.app.screen is stage.screen and not stage.screen.agent.is_working:
                break
            stage.screen.action_cancel()
            await stage.press("escape")
        await stage.until(lambda: not stage.screen.agent.is_working, "the end of the turn")
        stage.screen.agent.transcript.clear()
        # What was committed needs no review, and with a turn a new one begins.
        git(self.root, "add", "-A")
        git(self.root, "commit", "--quiet", "--allow-empty", "-m", "rest")
        stage.review.changes()
        self.turns += 1
        stage.review.begin_turn(self.turns, "session-1")
        stage.review.end_turn(self.turns)
        stage.screen.review.reload()
        # The dialog that was open last is still known in some places. Here it is always the same.
        stage.app.push_screen(Confirm("Rest", "Go on?", "Yes", "No"))
        await stage.press("escape")
        await stage.until(lambda: stage.app.screen is stage.screen)
        await stage.until(lambda: not any(worker.group == "review" for worker in stage.app.workers))
        gc.unfreeze()
        for one in gc.get_objects():
            # By type(): isinstance asks proxies for the class of what they stand for, which warns in torch.
            if type(one) is _lru_cache_wrapper and one.cache_parameters()["maxsize"]:
                one.cache_clear()
            elif type(one) is StylesCache:
                one.clear()
        gc.collect()
        return Held.now()


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "w"
    (root / "docs" / "deep").mkdir(parents=True)
    for name, data in zip(NAMES[:5], CONTENTS, strict=False):
        (root / name).write_bytes(data)
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    monkeypatch.setenv("SHELL", "/bin/cat")  # what is typed at random is no command
    monkeypatch.setenv("EDITOR", "true")
    monkeypatch.setattr(
        "app.workspace.file_work.send2trash", lambda path: path.rename(tmp_path / f"trash-{random.random()}")
    )
    monkeypatch.setattr("app.ui.file_manager.reveal", lambda _place: None)
    monkeypatch.setattr("app.ui.app.TidegateApp.action_leave", lambda _app: None)
    monkeypatch.setattr("app.ui.app.TidegateApp.action_suspend_process", lambda _app: None)
    monkeypatch.setattr(PermissionPrompt, "grace", 0.0)
    yield root


async def soak(
    root: Path, steps: int, seed: int, caplog: pytest.LogCaptureFixture, every: int = 0
) -> tuple[Soak, list[Held]]:
    """`steps` random steps; also what was held at rest after `every` so many of them."""
    one = Soak(root, seed)
    held: list[Held] = []
    with caplog.at_level(logging.WARNING):
        async with one.stage.run():
            await one.stage.until(lambda: one.stage.screen.viewer.path == "a.py")
            try:
                for number in range(1, steps + 1):
                    await one.step()
                    if every and number % every == 0:
                        held.append(await one.at_rest())
            except Exception as error:
                error.add_note(f"seed {seed}, after: {' · '.join(one.trail)}")
                raise
            await one.at_rest()
    assert caplog.records == [], caplog.text
    return one, held


async def test_random_steps(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    await soak(root, 60, 3, caplog)


@pytest.mark.slow  # six minutes on a quiet core
@pytest.mark.timeout(7200)
async def test_ten_thousand_random_steps(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, held = await soak(root, 10_000, 2, caplog, every=500)
    assert len(one.done) > 120, "few of the actions were done"
    warm = held[_WARM // 500 - 1 :]
    blocks = [now.blocks for now in warm]
    slope = linear_regression(range(len(blocks)), blocks).slope
    assert slope < _MOST_MORE, f"{2 * slope:.0f} blocks more with every 1000 steps: {blocks}"
    # Textual may hold one dialog, such as the one that was under the mouse, until the mouse is elsewhere.
    early = reduce(or_, (now.ours for now in warm[: len(warm) // 2]))
    late = reduce(and_, (now.ours for now in warm[-4:]))
    grown = {kind: (early[kind], count) for kind, count in late.items() if count > early[kind] + _FEW}
    assert not grown, grown
