"""Asking the model about a hunk that it wrote; the answer stands beside it."""

from collections.abc import Sequence

from app.agent.hunks.asking import HunkQuestion
from app.agent.port import HunkPort
from app.errors import TidegateError
from app.review.model import FileChange, Hunk, Remark, WrittenBy, printable
from app.review.remarks.model import Answer
from app.ui.diff.model.labels import Label
from app.ui.panes.review.context import ReviewContext
from app.ui.panes.review.hunks.question import QuestionLine

_ABOUT_AS_LONG = 64
"""Tokens beyond those of the question's own words that are not worth a word: place, quoted line and markup."""


class Asking:
    """The questions that are under way, each a label in its hunk's heading."""

    def __init__(self) -> None:
        self._labels: dict[str, Label] = {}

    def ask(self, context: ReviewContext) -> None:
        """Ask for a question on the cursor's line or hunk, or for one that follows the answer there."""
        view = context.view
        change, hunk = view.current_change, view.current_hunk
        if change is None or hunk is None:
            context.app.notify("Put the cursor on a hunk to ask about it.", timeout=3)
            return
        agent = context.hunks()
        if agent is None:
            context.app.notify("Only the workspace has a model to ask.", severity="warning")
            return
        before = view.model.remark_at(view.cursor_row)
        before = before if isinstance(before, Answer) else None
        line, quoted, index = 0, "", None
        if before is not None:
            line, quoted = before.line, before.quoted
        elif (found := view.current_diff_line) is not None:
            line = (found.before_number if found.kind == "removed" else found.after_number) or 0
            quoted, index = found.text, hunk.lines.index(found)

        def asked(words: str | None) -> None:
            if words == QuestionLine.REMOVED and before is not None:
                context.run(lambda: context.work.port.remarks.change(before, ""), None)
            elif words:
                answer = Answer(0, change.path, line, quoted, "", context.work.desk.source, hunk.id, words)
                context.app.run_worker(self._ask(context, agent, change, hunk, answer, before, index))

        place = f"{change.path}:{line}" if line else change.path
        title = f"Ask further about {place}" if before else f"Ask about {place}"
        hint = "Why? What if it is empty? …"
        context.app.push_screen(
            QuestionLine(title, hint, view.cursor_place, removes="this answer" if before else ""), asked
        )

    async def _ask(  # noqa: PLR0917  what the question is about, gathered when it was asked
        self,
        context: ReviewContext,
        agent: HunkPort,
        change: FileChange,
        hunk: Hunk,
        answer: Answer,
        before: Answer | None,
        index: int | None,
    ) -> None:
        work = context.work
        self._label(context, hunk.id, "asking…")

        async def told(anew: int, total: int) -> None:
            self._label(context, hunk.id, f"asking… reads {anew:,} of {total:,} tokens")
            if anew > len(answer.question) + _ABOUT_AS_LONG:
                context.app.notify(
                    f"The state that wrote this is not kept any more: {anew:,} tokens are read anew.",
                    timeout=6,
                )

        try:
            writers = await work.run(work.port.written.by) if not answer.source else {}
            wrote = _writer(writers.get(hunk.id, ()), index)
            earlier = await work.run(lambda: _earlier(work.port.remarks.all(), before))
            question = HunkQuestion(
                answer.question,
                change.path,
                answer.line,
                answer.quoted,
                f"{change.path}\n{_diff(hunk)}",
                wrote.session,
                wrote.call,
                earlier,
            )
            text = await agent.ask(question, told)
            await work.run(
                lambda: work.port.remarks.add(
                    Answer(
                        0,
                        answer.path,
                        answer.line,
                        answer.quoted,
                        text,
                        answer.source,
                        hunk.id,
                        answer.question,
                    )
                )
            )
        except TidegateError as error:
            context.app.notify(str(error), severity="error", timeout=8)
        finally:
            self._label(context, hunk.id, "")
        context.run(lambda: None, None)

    def _label(self, context: ReviewContext, hunk: str, words: str) -> None:
        self._labels.pop(hunk, None)
        if words:
            self._labels[hunk] = Label(words, "accent")
        context.view.model.labels.put("asking", dict(self._labels))
        context.view.refresh()


def _writer(writers: tuple[WrittenBy, ...], index: int | None) -> WrittenBy:
    """The call that wrote line `index` of a hunk; else the newest with a part in it."""
    known = [one for one in writers if one.call]
    of_line = [one for one in known if index in one.lines]
    return (of_line or known or [WrittenBy("", 0, "", ())])[-1]


def _diff(hunk: Hunk) -> str:
    marks = {"removed": "-", "added": "+"}
    return "\n".join(marks.get(line.kind, " ") + printable(line.text) for line in hunk.lines)


def _earlier(remarks: Sequence[Remark], last: Answer | None) -> tuple[tuple[str, str], ...]:
    """Questions and answers on the same line, up to the answer that is followed up."""
    if last is None:
        return ()
    chain = [
        one
        for one in remarks
        if isinstance(one, Answer)
        and one.id <= last.id
        and (one.path, one.hunk, one.line, one.quoted) == (last.path, last.hunk, last.line, last.quoted)
    ]
    return tuple((one.question, one.text) for one in chain)
