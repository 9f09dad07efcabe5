"""Running the practice range: one task after the other, each in a workspace on a folder of its own."""

from dataclasses import replace
from pathlib import Path

from app.agent.shell.sandbox import find_sandbox
from app.model.catalogue.catalogue import ModelChoice, choose_model
from app.model.catalogue.practice import DESCRIPTION, practice_model
from app.model.engine.open import open_engine
from app.practice.model import PracticeTask
from app.practice.range.drawing import next_seed, range_task
from app.practice.range.places import find_home, lay_out, take_own_python
from app.review.late import open_late
from app.settings.settings import Settings, remember
from app.ui.app import TidegateApp, agent_in
from app.ui.keys.keymap import Keymap, load_keymap
from app.ui.ports import Ports
from app.ui.screens.practice import PracticeScreen
from app.workspace.workspace import Workspace


def run_practice(seed: int, kind: str | None, settings: Settings, choice: ModelChoice) -> int:
    """Open the range with the task of `seed` and return an exit status. The agent works in auto mode.

    Raises TidegateError for a task, keymap or place that cannot be had.
    """
    keymap = load_keymap()
    # In the range nothing has to be asked: it is a folder of its own, which nobody needs.
    settings = replace(settings, mode="auto", mcp=())
    task = range_task(seed, kind)
    notice = find_home()
    take_own_python()
    directory = lay_out(task)
    session: str | None = None
    while True:
        app = _window(
            task,
            directory,
            settings=settings,
            choice=choice,
            keymap=keymap,
            session=session,
            notice=notice,
        )
        onward = app.run()
        notice = ""
        if onward is None:
            return app.return_code or 0
        if isinstance(onward, str):
            remember("model", onward)
            choice, session = choose_model(onward), app.session
        else:
            task, session = range_task(next_seed(task.seed), kind), None
            directory = lay_out(task)


def _window(
    task: PracticeTask,
    directory: Path,
    *,
    settings: Settings,
    choice: ModelChoice,
    keymap: Keymap,
    session: str | None,
    notice: str,
) -> TidegateApp:
    workspace = Workspace(directory)
    engine = open_engine(choice, settings)
    review = open_late(workspace.root)
    ports = Ports(workspace, review, engine, agent_in(workspace, engine, review, settings))
    is_practice = choice == practice_model()

    def screen(app: TidegateApp) -> PracticeScreen:
        key = app.key_of("workspace.model")
        return PracticeScreen(
            ports,
            app.user_keymap,
            task,
            model=f"What answers is {DESCRIPTION}; {key} gets a real one." if is_practice else "",
            notice=notice,
            is_confined=find_sandbox() is not None,
            session=session,
        )

    return TidegateApp(ports, keymap=keymap, settings=settings, session=session, screen=screen)
