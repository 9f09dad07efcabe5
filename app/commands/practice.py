"""`tidegate practice`: the practice range, on the screen or without one."""

from app.commands.options import BadUsage, Parser, add_draft, add_model, settings_of
from app.commands.terminal import has_terminal, require_full_screen
from app.model.catalogue.catalogue import ModelChoice, choose_model
from app.model.catalogue.practice import practice_model
from app.practice.range.drawing import fresh_seed, range_task
from app.settings.settings import Settings


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate practice",
        allow_abbrev=False,
        description="The practice range: a small Python project with a failing test, and an agent that is to "
        "mend it, with a small model that is part of Tidegate.",
    )
    made.add_argument("--seed", type=int, metavar="N", help="the task of this number (default: one by chance)")
    made.add_argument("--kind", metavar="KIND", help="a bug of this kind (--list names them)")
    made.add_argument("--list", action="store_true", help="list the kinds of bugs, and end")
    made.add_argument("--headless", action="store_true", help="do one task without a screen")
    made.add_argument("--json", action="store_true", help="with --headless: say what came of it as one line")
    add_model(made)
    add_draft(made)
    return made


def run(given: list[str]) -> int:
    """Open the range, or do one task: then 0 is returned when the bug was fixed and 1 when it was not."""
    options = parser().parse_args(given)
    if options.json and not options.headless:
        raise BadUsage("--json goes with --headless", "write it as: tidegate practice --headless --json")
    if options.list:
        return _list()
    settings = settings_of(options)
    if options.kind is not None:
        range_task(0, options.kind)  # a kind that there is not is told before anything else
    choice: ModelChoice = practice_model() if options.model is None else choose_model(options.model)
    if options.headless or not has_terminal():
        from app.commands.practice_task import do_one  # noqa: PLC0415

        return do_one(options.seed, options.kind, choice=choice, settings=settings, as_json=options.json)
    return _open(options.seed, options.kind, settings, choice)


def first_minute(settings: Settings) -> int:
    """The range for who has no model yet; without a terminal one task as text, which is a success however the
    task ends. Returns an exit status."""
    if has_terminal():
        return _open(None, None, settings, practice_model())
    from app.commands.practice_task import do_one  # noqa: PLC0415

    status = do_one(None, None, choice=practice_model(), settings=settings, as_json=False)
    return 0 if status == 1 else status


def _open(seed: int | None, kind: str | None, settings: Settings, choice: ModelChoice) -> int:
    require_full_screen("tidegate practice --headless")
    from app.ui.practice import run_practice  # noqa: PLC0415

    return run_practice(fresh_seed() if seed is None else seed, kind, settings, choice)


def _list() -> int:
    from app.practice.bugs.kinds import KINDS  # noqa: PLC0415
    from app.practice.mastery import MASTERED  # noqa: PLC0415

    width = max(map(len, KINDS))
    for kind in KINDS.values():
        if kind.name in MASTERED:
            print(f"{kind.name:{width}}  {kind.description}")
    return 0
