"""The model: what runs, what was looked for, what this machine can hold, and how to get one."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import Worker

from app.errors import TidegateError
from app.model.catalogue.catalogue import LocalModel, choose_model, experts_of, models_on_disk, weight_bytes
from app.model.catalogue.fetch import FetchProgress, fetch_model
from app.model.catalogue.practice import has_practice_model
from app.model.catalogue.recipes import (
    CHECKED,
    RECIPES,
    Experts,
    Recipe,
    gigabytes,
    judge,
    machine_memory,
    suited,
)
from app.model.port import EnginePort
from app.ui.dialogs.confirm import Confirm
from app.ui.dialogs.dialog import Dialog
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import sentence, visible
from app.ui.widgets.line_input import LineInput


class ModelScreen(Dialog[None]):
    """Choosing here opens the workspace again with that model; Esc goes back to it without."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    class PracticeChosen(Message):
        """The user wants to go to the practice range."""

    class Chosen(Message):
        """The user wants to work with `model`, as --model takes it."""

        def __init__(self, model: str) -> None:
            super().__init__()
            self.model = model

    def __init__(self, engine: EnginePort) -> None:
        super().__init__()
        self._engine = engine
        self._fetching: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="model-box", classes="dialog") as box:
            box.border_title = "Model"
            box.border_subtitle = "Enter chooses · Tab to the address · Esc goes back"
            with VerticalScroll(id="model-facts-box", can_focus=False):
                yield Static("", id="model-facts", markup=False)
            yield OptionList(id="model-choices", compact=True, markup=False)
            yield Static("", id="model-message", markup=False)
            yield LineInput(placeholder="http://localhost:8080/v1, or a model's directory", id="model-address")

    async def on_mount(self) -> None:
        self._palette = Palette.of(self.app)
        self.query_one("#model-facts", Static).update(self._facts())
        self.query_one("#model-address").border_title = "Connect to a server, or open a directory"
        self.query_one("#model-message").display = False
        options = self.query_one(OptionList)
        local = await asyncio.to_thread(models_on_disk)
        found = await asyncio.to_thread(
            lambda: [(weight_bytes(model.path), experts_of(model.path)) for model in local]
        )
        rows = [
            *(self._local_option(model, *facts) for model, facts in zip(local, found, strict=True)),
            *map(self._recipe_option, range(len(RECIPES))),
        ]
        if await asyncio.to_thread(has_practice_model):
            # Where there is nothing else yet, it is what one can begin with.
            rows.insert(0 if self._engine.status.phase == "absent" else len(rows), self._practice_option())
        options.add_options(rows)
        if not isinstance(self.focused, Input):  # there the user may be writing already
            self.set_focus(options)
        if options.option_count:
            options.highlighted = 0

    def _facts(self) -> Text:
        palette = self._palette
        status = self._engine.status
        text = Text()
        if status.phase == "absent":
            text.append("No model was found.\n", palette.strong)
            why = sentence(status.message.removeprefix("No model was found: "))
            text.append(visible(why) + "\n", palette.muted)
        elif status.model is not None:
            text.append(f"{visible(status.model.id)}", palette.strong)
            text.append(f"  {status.phase}\n", palette.success if status.phase == "ready" else palette.accent)
            for name, value in status.model.details:
                text.append(f"{name}: {visible(value)}\n", palette.muted)
        else:
            text.append(f"{sentence(status.phase)}: ", palette.strong)
            text.append(f"{visible(status.message)}\n", palette.muted)
        memory = machine_memory()
        usable = judge(0, memory).usable
        text.append(
            f"\nThis machine has {gigabytes(memory)} of memory, of which a model may use ", palette.muted
        )
        text.append(gigabytes(usable), palette.strong)
        text.append(".", palette.muted)
        best = suited()
        if best is not None:
            text.append(f" {best.title}", palette.strong)
            text.append(" suits it.", palette.muted)
        licenses = " or ".join(sorted({recipe.license for recipe in RECIPES}))
        text.append(
            f"\nWhat can be fetched is under {licenses}, as public pages had it on {CHECKED}.", palette.faint
        )
        return text

    def _local_option(self, model: LocalModel, size: int, experts: Experts | None) -> Option:
        palette = self._palette
        verdict = judge(size, experts=experts)
        words = Text.assemble(
            ("● ", palette.success if verdict.fits else palette.warning),
            (visible(model.name), palette.strong),
            (f"  {gigabytes(size)}, on this machine", palette.muted),
        )
        if not verdict.fits:
            words.append(f"  {verdict.words}", palette.accent if verdict.runs else palette.warning)
        return Option(words, id=f"open:{model.path}")

    def _practice_option(self) -> Option:
        palette = self._palette
        words = Text.assemble(
            ("● ", palette.success),
            ("practice", palette.strong),
            ("  nothing to fetch", palette.success),
            ("  small tasks for a small model, to try the agent and the review on", palette.faint),
        )
        return Option(words, id="practice:")

    def _recipe_option(self, number: int) -> Option:
        palette = self._palette
        recipe = RECIPES[number]
        verdict = recipe.judged()
        tone = palette.success if verdict.fits else palette.accent if verdict.runs else palette.warning
        words = Text.assemble(
            ("↓ ", palette.primary if verdict.runs else palette.faint),
            (f"{recipe.title} {gigabytes(recipe.size)}", palette.strong if verdict.runs else palette.muted),
            (f"  {verdict.words}", tone),
            (
                f"\n  {gigabytes(recipe.memory)} with 32 K, {'MTP to graft' if recipe.mtp else 'no MTP'}",
                palette.muted,
            ),
            (f"  {recipe.repository}", palette.faint),
        )
        return Option(words, id=f"fetch:{number}")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        kind, _, value = (event.option_id or "").partition(":")
        if kind == "open":
            self._choose(value)
        elif kind == "practice":
            self.post_message(self.PracticeChosen())
        elif self._fetching is None:
            self._ask_to_fetch(RECIPES[int(value)])

    def _ask_to_fetch(self, recipe: Recipe) -> None:
        def fetch(yes: bool | None = True) -> None:
            if yes and self._fetching is None:
                self._fetching = self.run_worker(self._fetch(recipe.repository))

        verdict = recipe.judged()
        if verdict.fits:
            fetch()
        elif verdict.runs:
            question = f"{gigabytes(recipe.size)} would be fetched. On this machine it runs {verdict.words}."
            self.app.push_screen(Confirm("Not all in memory", question, "Fetch it", "Leave it"), fetch)
        else:
            question = f"{gigabytes(recipe.size)} would be fetched that do not fit this machine's memory."
            self.app.push_screen(Confirm("Too large", question, "Fetch it all the same", "Leave it"), fetch)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip():
            self._choose(event.value.strip())

    def _choose(self, named: str) -> None:
        try:
            choose_model(named)
        except TidegateError as error:
            self._say(str(error))
            return
        self.post_message(self.Chosen(named))

    async def _fetch(self, repository: str) -> None:
        palette = self._palette
        self._say(f"Asking for {repository}…", palette.muted)
        try:
            async with aclosing(fetch_model(repository)) as steps:
                async for step in steps:
                    if isinstance(step, Path):
                        self._choose(str(step))
                    else:
                        self._show_progress(repository, step)
        except TidegateError as error:
            self._say(str(error), palette.error)
        finally:
            self._fetching = None

    def _show_progress(self, repository: str, step: FetchProgress) -> None:
        palette = self._palette
        share = step.done / step.total if step.total else 0.0
        filled = round(40 * share)
        text = Text.assemble(
            ("━" * filled, palette.primary),
            ("━" * (40 - filled), palette.faint),
            (f"  {gigabytes(step.done)} of {gigabytes(step.total)}, {share:.0%}\n", palette.strong),
            (f"{repository}; Esc stops, and the next time goes on from there", palette.muted),
        )
        self._say(text)

    def _say(self, text: Text | str, style: Style | None = None) -> None:
        field = self.query_one("#model-message", Static)
        field.display = True
        field.update(
            text if isinstance(text, Text) else Text(visible(text), style=style or self._palette.error)
        )

    def action_leave(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            self._say("Stopped. What has arrived is kept.", self._palette.warning)
        else:
            self.dismiss()
