"""How far a training has come, on standard error."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text
from typing_extensions import override

from mlx_model.train.steps import Report


class _Bars(Progress):
    """A bar for each stage, and below them the newest note, which beside them would not fit 80 columns."""

    note = ""

    @override
    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.note:
            yield Text(self.note, no_wrap=True, overflow="ellipsis")


@contextmanager
def training_bar(console: Console) -> Iterator[Report]:
    """Yields what a training reports to: a bar for each stage, with the time left, and a note. It appears with
    the first report, so that an error before it is not printed below an empty bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    bar = _Bars(*columns, console=console)
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int, note: str) -> None:
        if not tasks:
            bar.start()
        if stage not in tasks or (done < total and bar.tasks[tasks[stage]].finished):
            tasks[stage] = bar.add_task(stage, total=total)
        bar.note = note
        bar.update(tasks[stage], completed=done)

    try:
        yield report
    finally:
        if tasks:
            bar.stop()
