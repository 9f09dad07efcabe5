"""How far a training has come, on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from mlx_model.train.steps import Report


@contextmanager
def training_bar(console: Console) -> Iterator[Report]:
    """Yields what a training reports to: a bar for each stage, with the time left and a note. It appears with
    the first report, so that an error before it is not printed below an empty bar."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bar = Progress(*columns, console=console)
    tasks: dict[str, TaskID] = {}

    def report(stage: str, done: int, total: int, note: str) -> None:
        if not tasks:
            bar.start()
        if stage not in tasks or (done < total and bar.tasks[tasks[stage]].finished):
            tasks[stage] = bar.add_task(stage, total=total, note=note)
        bar.update(tasks[stage], completed=done, note=note)

    try:
        yield report
    finally:
        if tasks:
            bar.stop()
