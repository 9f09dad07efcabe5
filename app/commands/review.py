"""`tidegate review`: anything that git can show, a patch or standard input on the review screen."""

import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from app.commands.options import Parser
from app.commands.reviewing.output import FORMS, names_of, write_comments, write_json
from app.errors import TidegateError
from app.git.git import Git
from app.review.desks.desk import Desk
from app.review.desks.jj import WorkTreeOfJj, git_store, jj_root, translated
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import STAGED, WORK_TREE, Source, Sources, source_of
from app.review.diff.received import is_word_diff, only_colours, without_colours
from app.review.errors import ReviewError
from app.review.late import open_late

if TYPE_CHECKING:
    from app.review.port import ReviewPort


class ReviewUsage(TidegateError):
    """`tidegate review` was asked for something that cannot be."""


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate review",
        description="Review anything that git can show, hunk by hunk. Without an argument: the work tree.",
    )
    made.add_argument(
        "what",
        nargs="?",
        metavar="REV | A..B | A...B | FILE.patch | -",
        help="a commit, a range, a patch file, or - for a diff on standard input",
    )
    made.add_argument(
        "--watch",
        action="store_true",
        help="review what any program changes here from now on, as if it were the agent",
    )
    made.add_argument("--json", action="store_true", help="print the review as JSON, and open no screen")
    made.add_argument(
        "--comments",
        choices=FORMS,
        help="write the comments made on it: as Markdown, as a GitHub review (JSON), or as git notes",
    )
    made.add_argument("--staged", action="store_true", help="review the index")
    return made


def run(given: Sequence[str]) -> int:
    """Run the command; returns the exit status. Raises TidegateError for bad input."""
    options = parser().parse_args(given)
    if options.staged and options.what is not None:
        raise ReviewUsage("--staged reviews the index, and nothing else", f"leave out {options.what!r}")
    if options.watch and (options.what is not None or options.staged or options.json or options.comments):
        raise ReviewUsage("--watch reviews what changes here", "leave out everything else")
    is_output = options.json or options.comments is not None
    if options.json and options.comments is not None:
        raise ReviewUsage("--json has the comments already", "leave out --comments")
    if not is_output and not sys.stdout.isatty():
        raise ReviewUsage("the review needs a terminal", "without one, use: git diff, or --json")
    piped = _standard_input() if options.what == "-" else b""
    plain = without_colours(piped)
    if is_word_diff(plain) and not is_output:
        # As git's pager, what cannot be reviewed goes through, with its colours.
        sys.stdout.buffer.write(only_colours(piped))
        return 0
    here = Path.cwd()
    if options.watch:
        return _watch(here)
    source, root = source_here(here, options.what, staged=options.staged, piped=plain)
    log = open_late(root)
    sources = Sources(root, log)
    others = {STAGED: WORK_TREE, WORK_TREE: STAGED}
    desks: list[Desk] = [SourceDesk(one, sources, log) for one in (source, others.get(source)) if one]
    if is_output:
        names = names_of(source, root)
        if options.json:
            return write_json(desks[0], log, names)
        return write_comments(desks[0], log, names, options.comments)
    return _show(root, log, desks, piped, Git(root).operation)


def source_here(
    here: Path, what: str | None, *, staged: bool = False, piped: bytes = b""
) -> tuple[Source, Path]:
    """What is reviewed, and the directory that it is read in. A file is named from where the user is; what is
    in it, from the repository's top."""
    paths = Git(here).paths()
    root = paths.top if paths is not None else here
    of_jj = jj_root(here) if what != "-" else None
    is_file = what is not None and (here / what).is_file()
    if of_jj is not None and paths is None and not is_file:
        if what is None:
            raise WorkTreeOfJj
        return _titled(what, source_of(git_store(of_jj), translated(of_jj, what))), git_store(of_jj)
    try:
        return source_of(root, what, staged, piped, here), root
    except ReviewError:
        if of_jj is None or not what or (meant := translated(of_jj, what)) == what:
            raise
        return _titled(what, source_of(root, meant)), root


def _titled(what: str, source: Source) -> Source:
    """`source` with the name it was asked for by beside the commits that jj says are meant, in short."""
    if source.title == what:
        return source
    commits = re.sub("[0-9a-f]{40,}", lambda found: found[0][:10], source.title)
    return replace(source, title=f"{what} ({commits})")


def _standard_input() -> bytes:
    if sys.stdin.isatty():
        raise ReviewUsage("standard input is the terminal", "pipe a diff into it: git diff | tidegate review -")
    return sys.stdin.buffer.read()


def _show(root: Path, log: "ReviewPort", desks: Sequence[Desk], piped: bytes, operation: str) -> int:
    # git makes the diff while the screen is being imported.
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(desks[0].changes)
        from app.settings.settings import load_settings  # noqa: PLC0415  only where a screen will open
        from app.ui.keys.keymap import load_keymap  # noqa: PLC0415
        from app.ui.review_app import ReviewApp  # noqa: PLC0415

        changes = reading.result()
    if not changes:
        # As git's pager, what holds no diff goes through.
        said = only_colours(piped) or f"There are no changes in {desks[0].title}.\n".encode()
        sys.stdout.buffer.write(said)
        return 0
    _take_keyboard()
    app = ReviewApp(
        log,
        desks,
        root,
        first=changes,
        notice=f"a {operation} is under way" if operation else "",
        keymap=load_keymap(),
        settings=load_settings(),
    )
    app.run()
    return app.return_code or 0


def _watch(here: Path) -> int:
    """Review what other programs change from now on; returns the exit status."""
    from app.commands.reviewing.watching import changed_outside  # noqa: PLC0415  only this needs them
    from app.review.desks.agent_desk import AgentDesk  # noqa: PLC0415
    from app.review.outside.watched import watched  # noqa: PLC0415
    from app.settings.settings import load_settings  # noqa: PLC0415
    from app.ui.keys.keymap import load_keymap  # noqa: PLC0415
    from app.ui.review_app import ReviewApp  # noqa: PLC0415

    paths = Git(here).paths()
    root = paths.top if paths is not None else here
    log, session = watched(open_late(root))
    session.begin()
    try:
        sources = Sources(root, log)
        git_desks = [SourceDesk(one, sources, log) for one in (WORK_TREE, STAGED)] if paths is not None else []
        app = ReviewApp(
            log,
            [AgentDesk(log, root), *git_desks],
            root,
            notice="watching",
            keymap=load_keymap(),
            settings=load_settings(),
            changed=changed_outside(root),
        )
        app.run()
        return app.return_code or 0
    finally:
        session.end()


def _take_keyboard() -> None:
    """Where standard input was a diff, keys come from the terminal that standard output is."""
    if not sys.stdin.isatty():
        terminal = os.open(os.ttyname(sys.stdout.fileno()), os.O_RDWR)
        os.dup2(terminal, sys.stdin.fileno())
        os.close(terminal)
