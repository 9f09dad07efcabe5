"""What the main screens look like, held to `pictures/` cell by cell: at three sizes, in three themes.

Where one should look otherwise now, `make pictures` writes them anew; `git diff` then shows what changed.
"""

import os
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from textual.widgets import Input, OptionList

from app.agent.events import AgentEvent, TextStreamed, TodosChanged, ToolFinished, ToolStarted
from app.agent.port import PermissionRequest
from app.ui.dialogs.listing import ListLines
from app.ui.drawing.themes import CONTRAST, DARK, LIGHT
from app.ui.find.files import FindFile
from app.ui.preferences.settings_rows import setting_rows
from app.ui.screens.model import ModelScreen
from app.ui.widgets.agent.permission_prompt import PermissionPrompt
from tests.support.patience import LONGEST
from tests.support.review.review_cases import git
from tests.support.ui.pictures import Picture, difference, picture_of, read, write
from tests.support.ui.screen import ScriptedAgent, Stage, edit

PICTURES = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (120, 40), (200, 60))
SETTINGS = ("theme", "mode", "model", "vim_keys", "diff_tints", "reasoning_effort", "rules")
THEMES = (DARK.name, LIGHT.name, CONTRAST.name)
WRITES = bool(os.environ.get("WRITE_PICTURES"))
_QUIET = 4  # looks without a change, after which a picture is taken to be whole, when it is written

BEFORE = '''\
"""Tides, by hour."""

from math import cos

PERIOD = 12.42  # hours


def height(hour: float, mean: float = 2.0) -> float:
    """The water's height in metres."""
    return mean + cos(hour)


def is_flood(hour: float) -> bool:
    return height(hour + 1) > height(hour)
'''
AFTER = BEFORE.replace("from math import cos", "from math import cos, tau").replace(
    "cos(hour)", "cos(tau * hour / PERIOD)"
)
NOTES = "# Tides\n\nHeights at *any* hour, 漢字 and é included.\n"
DIFF = "\n".join(
    (
        "@@ -12,4 +12,4 @@",
        " ",
        " ",
        "-def is_flood(hour: float) -> bool:",
        "+def is_rising(hour: float) -> bool:",
        "     return height(hour + 1) > height(hour)",
    )
)


async def talk(agent: ScriptedAgent) -> AsyncGenerator[AgentEvent, None]:
    """A turn with all that a conversation has; the next one asks."""
    if len(agent.heard) > 1:
        assert agent.asker is not None
        arguments = {"file_path": "src/tides.py"}
        await agent.asker.ask(
            PermissionRequest("q", "edit", arguments, f"Edit src/tides.py\n{DIFF}", "ask mode", "src/tides.py")
        )
        return
    yield TextStreamed("The period is **not used**. I will:\n\n- import `tau`\n- divide by `PERIOD`\n\n")
    yield ToolStarted("1", "read_file", {}, "Read src/tides.py")
    yield ToolFinished("1", "read_file", True, "text", "text")
    yield ToolStarted("2", "edit", {}, "Edit src/tides.py")
    yield ToolFinished("2", "edit", True, "done", "-    return mean + cos(hour)\n+    return mean")
    yield ToolStarted("3", "run_shell_command", {"command": "make test"}, "$ make test")
    yield ToolFinished("3", "run_shell_command", False, "1 failed\n[Exit status 1]", "")
    yield TodosChanged((("Mend the height", "completed"), ("Run the tests", "in_progress")))
    yield TextStreamed("```python\nreturn mean + cos(tau * hour / PERIOD)\n```\n\nOne test still fails.")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    root = tmp_path / "tides"
    (root / "src").mkdir(parents=True)
    (root / "src" / "tides.py").write_text(BEFORE)
    (root / "notes.md").write_text(NOTES)
    (root / "Makefile").write_text("test:\n\ttrue\n")
    git(root, "init", "--quiet", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    (root / "todo.txt").write_text("new\n")
    # What a machine has and where things lie is not in the pictures.
    monkeypatch.setattr("app.ui.screens.model.machine_memory", lambda: 64_000_000_000)
    monkeypatch.setattr("app.model.catalogue.recipes.machine_memory", lambda: 64_000_000_000)
    monkeypatch.setattr("app.ui.screens.model.models_on_disk", lambda: ())
    monkeypatch.setattr("app.ui.screens.model.CHECKED", "2026-01-01")
    monkeypatch.setattr("app.ui.preferences.settings_screen.settings_file", lambda: "settings.toml")
    monkeypatch.setattr(
        "app.ui.preferences.settings_screen.setting_rows",
        lambda settings: [row for row in setting_rows(settings) if row.name in SETTINGS],
    )
    monkeypatch.setattr(PermissionPrompt, "grace", 0.0)
    return Stage(root, talk, show_file="src/tides.py")


async def test_the_main_screens_look_as_in_their_pictures(stage: Stage) -> None:
    """Each size in a theme of its own."""
    await held_all(stage, lambda size, theme: WRITES or SIZES.index(size) == THEMES.index(theme))


@pytest.mark.slow
async def test_they_do_in_every_theme_at_every_size(stage: Stage) -> None:
    await held_all(stage, lambda _size, _theme: True)


async def held_all(stage: Stage, holds: Callable[[tuple[int, int], str], bool]) -> None:
    """Bring the screens up one after the other, and hold them to their pictures of what `holds` says."""
    wrong: list[str] = []
    async with stage.run():
        app = stage.app
        app.animation_level = "none"

        async def go(key: str, name: str | None) -> None:
            await stage.press(key)
            await stage.until(lambda: app.focused is not None and app.focused.id == name, f"{key} at {name}")

        async def viewer() -> None:
            await stage.until(lambda: stage.screen.viewer.path == "src/tides.py")
            await stage.until(lambda: stage.screen.status_line.facts.branch == "main", "git's status")
            await go("f3", "file-view")
            await stage.press("j", "j", "j", "j")
            await stage.until(lambda: stage.screen.viewer.line_number == 5)

        async def agent() -> None:
            await stage.say("Why is the height wrong?")
            await stage.until(lambda: "One test still fails" in stage.transcript())
            await stage.until(lambda: not stage.screen.agent.is_working)
            await go("f5", "prompt")
            await stage.press("ctrl+d")

        async def review() -> None:
            edit(stage.review, stage.root, **{"src/tides__py": AFTER, "notes__md": NOTES + "\nMore.\n"})
            stage.screen.review.reload()
            await stage.until(lambda: stage.screen.review.total == 3, "three hunks")
            await go("f4", stage.screen.review.view.id)
            await stage.press("n", "a")
            await stage.until(lambda: "1 of 3" in str(stage.screen.panes["centre"].border_subtitle))

        async def permission() -> None:
            await stage.say("Go on")
            await stage.until(lambda: stage.screen.agent.permission.display)

        async def find() -> None:
            await stage.press("escape")
            await stage.until(lambda: not stage.screen.agent.is_working)
            await stage.press("ctrl+l", "t", "i")
            await stage.until(lambda: isinstance(app.screen, FindFile) and app.screen.is_settled)

        async def settings() -> None:
            await stage.press("escape", "f3", "semicolon")
            await stage.until(lambda: app.screen.query(ListLines))

        async def model() -> None:
            await stage.press("escape", "f7")
            await stage.until(lambda: isinstance(app.screen, ModelScreen))
            choices = app.screen.query_one("#model-choices", OptionList)
            await stage.until(lambda: choices.option_count)

        for show in (viewer, agent, review, permission, find, settings, model):
            await stage.pilot.resize_terminal(120, 40)
            await show()
            await hold(stage, show.__name__, holds, wrong)
    assert not wrong, "\n\n".join([*wrong, "Should it look so? `make pictures` writes the pictures anew."])


async def hold(
    stage: Stage, name: str, holds: Callable[[tuple[int, int], str], bool], wrong: list[str]
) -> None:
    """Compare what is shown with the pictures called `name`, or write them."""
    for field in stage.app.screen.query(Input):
        field.cursor_blink = False
    seen: dict[tuple[int, int], list[Picture]] = {size: [] for size in SIZES}
    for number, theme in enumerate(THEMES):
        stage.app.theme = theme
        for size in SIZES:
            if not holds(size, theme):
                continue
            await stage.pilot.resize_terminal(*size)
            path = PICTURES / f"{name}-{size[0]}x{size[1]}.txt"
            if WRITES:
                seen[size].append(await settled(stage))
                continue
            wanted = read(path.read_text())[number]
            # After the first that is wrong the others are not waited for.
            deadline = time.monotonic() + (1 if wrong else LONGEST / 4)
            while (now := shown(stage)) != wanted and time.monotonic() < deadline:
                await stage.pilot.pause(0.01)
            if now != wanted:
                wrong.append(f"{path.name} in {theme}:\n{difference(wanted, now)}")
    if WRITES:
        PICTURES.mkdir(exist_ok=True)
        for size, pictures in seen.items():
            path = PICTURES / f"{name}-{size[0]}x{size[1]}.txt"
            path.write_text(write(pictures, THEMES))


def shown(stage: Stage) -> Picture:
    """The screen without its last row: which keys it hints at changes with every action that gets a hint."""
    return picture_of(stage.app)[:-1]


async def settled(stage: Stage) -> Picture:
    """The screen, once it stays as it is."""
    last, quiet = shown(stage), 0
    while quiet < _QUIET:
        await stage.pilot.pause(0.1)
        now = shown(stage)
        last, quiet = now, quiet + 1 if now == last else 0
    return last
