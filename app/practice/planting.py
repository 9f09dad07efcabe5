"""Draws a practice task, and keeps it only if its bugs show in the tests and its fixes mend them."""

from collections.abc import Mapping, Sequence

from app.practice.bugs.kinds import KINDS, changes
from app.practice.draw import Draw
from app.practice.execution import Case, Dubious, Endless, Outcome, outcomes
from app.practice.functions.compositions import composed
from app.practice.functions.function import Function, call, from_template, training_templates
from app.practice.functions.words import MODULES
from app.practice.hunks import hunk
from app.practice.layout import Module, Planted, Requirement, modules_for, test_file
from app.practice.mastery import is_mastered
from app.practice.model import PlantedBug, PracticeTask

PROMPTS = (
    "The tests fail. Fix the bug.",
    "Fix the failing test.",
    "fix the bug",
    "Please make the tests pass.",
    "A test fails, please fix it.",
    "Find and fix the bug.",
    "make the tests pass",
    "Something is broken here. Fix it.",
    "The test suite is red, make it green.",
    "fix the failing tests please",
    "Run the tests and fix what is broken.",
)
_TEMPLATE_SHARE = 0.45
_TWO_BUGS = 0.1
_DENSE = 0.9
_OTHERS = {False: (0, 0, 1, 1, 1, 2), True: (0, 1, 1, 2, 2, 3)}
"""How many functions there are beside the one with the bug, in most pools and in "dense"."""
_VISIBLE_CASES = (2, 2, 3, 3, 4)
_HIDDEN_CASES = 6
_TESTED = 0.4
"""Share of the functions without a bug that have tests."""
_WIDEST = 118
"""Columns of a line."""


def drawn(seed: int, pool: str, kind: str, kinds: Sequence[str], draw: Draw) -> PracticeTask | None:
    """A task with a bug of `kind`, and perhaps another of `kinds`, which are the pool's; None where this
    draw does not make one."""
    target = _target(pool, draw)
    functions = [target, *(_known(draw) for _ in range(draw.choice(_OTHERS[pool == "dense"])))]
    names = draw.sample(MODULES, 2)
    if len({*names, *(function.name for function in functions)}) < len(names) + len(functions):
        return None
    planted: dict[str, tuple[str, tuple[str, ...]]] = {}
    for function in functions:
        possible = [kind] if function is target else _others(pool, kind, kinds, len(planted), draw)
        for chosen in possible:
            lines = _planted(function, chosen, draw)
            if lines is not None:
                planted[function.name] = (chosen, lines)
                break
    if target.name not in planted:
        return None
    modules = modules_for(
        draw.shuffled(functions), draw, names, is_one=pool in ("dense", "reject"), is_guarded=pool == "reject"
    )
    requirements = _requirements(modules, planted, draw, is_dense=pool == "dense")
    return None if requirements is None else _made(seed, pool, modules, planted, requirements, draw)


def _others(pool: str, kind: str, kinds: Sequence[str], planted: int, draw: Draw) -> list[str]:
    """Kinds of bugs to try on a function beside the target; none where it is to stay right."""
    if pool == "dense":
        weights = {one.name: one.weight for one in KINDS.values() if "import" not in one.name}
        return [draw.weighted(weights) for _ in range(6)] if draw.chance(_DENSE) else []
    if pool == "reject" or KINDS[kind].is_whole or planted > 1 or not draw.chance(_TWO_BUGS):
        return []
    return draw.sample([name for name in kinds if not KINDS[name].is_whole], 6)


def _target(pool: str, draw: Draw) -> Function:
    if pool == "unseen-compositions":
        return composed(draw, held_out=True)
    if pool == "unseen-templates":
        return from_template(draw.choice(training_templates(held_out=True)), draw)
    function = _known(draw)
    while pool in ("range", "reject") and not is_mastered(function.template):
        function = _known(draw)
    return function


def _known(draw: Draw) -> Function:
    if draw.chance(_TEMPLATE_SHARE):
        return from_template(draw.choice(training_templates()), draw)
    return composed(draw, held_out=False)


def _planted(function: Function, kind: str, draw: Draw) -> tuple[str, ...] | None:
    """The function's lines with a bug of that kind, unchanged for bugs in imports; None where none fits."""
    if kind in ("missing-import", "wrong-import"):
        return function.lines if function.imports else None
    possible = changes(function, kind, draw)
    return draw.choice(possible).applied(function) if possible else None


def _requirements(
    modules: Sequence[Module], planted: Planted, draw: Draw, *, is_dense: bool
) -> Mapping[str, tuple[int, list[Requirement]]] | None:
    """For each function that is tested, what it has to give, and how much of that the project's own tests ask.

    None where a bug does not show in these, or is not of its kind.
    """
    right = {module.name: module.text() for module in modules}
    found: dict[str, tuple[int, list[Requirement]]] = {}
    for function in (function for module in modules for function in module.functions):
        if function.name not in planted and not draw.chance(_TESTED):
            continue
        shown = _HIDDEN_CASES if is_dense else draw.choice(_VISIBLE_CASES)
        cases = list(
            dict.fromkeys(Case(*call(function, draw, which)) for which in range(shown + _HIDDEN_CASES))
        )
        try:
            expected = outcomes(right, cases)
            if not all(map(_can_be_tested, expected)):
                return None
            if function.name in planted:
                # Other bugs are left out, so that none hides another.
                only = {function.name: planted[function.name]}
                given = outcomes({module.name: module.text(only) for module in modules}, cases)
                first = next((i for i in range(len(cases)) if not expected[i].agrees(given[i])), shown)
                if first >= shown or not _is_as_called(planted[function.name][0], given[first]):
                    return None
        except (Endless, Dubious):
            return None
        found[function.name] = shown, list(map(Requirement, cases, expected))
    return found


def _can_be_tested(outcome: Outcome) -> bool:
    return outcome.loaded and outcome.error in ("", "ValueError") and len(repr(outcome.value)) < 60


def _is_as_called(kind: str, found: Outcome) -> bool:
    """Whether a bug's first failure is what its kind says."""
    if kind == "missing-return":
        return found.loaded and found.value is None and not found.error
    if KINDS[kind].errors:
        return found.error in KINDS[kind].errors
    return found.loaded


def _made(  # noqa: PLR0917 - each of them is needed
    seed: int,
    pool: str,
    modules: Sequence[Module],
    planted: Planted,
    requirements: Mapping[str, tuple[int, list[Requirement]]],
    draw: Draw,
) -> PracticeTask | None:
    """The task; None where a fix cannot be told as one edit."""
    visible = {name: required[:shown] for name, (shown, required) in requirements.items()}
    tests = {
        f"test_{module.name}.py": test_file(module.name, [module], visible, draw)
        for module in modules
        if any(function.name in visible for function in module.functions)
    }
    everything = {name: required for name, (_shown, required) in requirements.items()}
    name, guard = modules[0].name, modules[0].guard
    hidden = {f"test_hidden_{name}.py": test_file(f"hidden_{name}", modules, everything, draw, guard)}
    files = {f"{module.name}.py": module.text(planted) for module in modules} | tests
    bugs = []
    for module in modules:
        for function in module.functions:
            if function.name in planted:
                others = {other: bug for other, bug in planted.items() if other != function.name}
                fix = hunk(f"{module.name}.py", module.text(planted), module.text(others))
                if fix is None:
                    return None
                bugs.append(PlantedBug(planted[function.name][0], function.template, function.name, fix))
    if pool != "dense":
        bugs.sort(key=lambda bug: bug.function != next(iter(planted)))
    wish = None
    if guard is not None:
        text = files[f"{name}.py"]
        wish = hunk(f"{name}.py", text, text.replace(guard.line, guard.wished_line, 1))
    prompt = draw.choice(PROMPTS) if guard is None else guard.prompt
    task = PracticeTask(seed, pool, prompt, files, tuple(bugs), hidden, wish)
    return task if _applies(task) else None


def _applies(task: PracticeTask) -> bool:
    """Whether the fixes can be applied in either order, and no line is long."""
    for order in (task.bugs, task.bugs[::-1]):
        files = dict(task.files)
        for fix in [bug.fix for bug in order] + [wish for wish in (task.wrong_wish,) if wish is not None]:
            if files[fix.path].count(fix.old) != 1:
                return False
            files[fix.path] = fix.applied(files[fix.path])
    return max(len(line) for text in task.files.values() for line in text.split("\n")) <= _WIDEST
