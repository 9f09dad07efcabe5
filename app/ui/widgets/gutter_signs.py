"""What a file's gutter shows beside the numbers, for the viewer and the editor alike."""

from collections.abc import Mapping
from types import MappingProxyType

from textual.widget import Widget

from app.editing.marks import NO_MARKS, LineMarks
from app.language.model import Severity

NO_PROBLEMS: Mapping[int, Severity] = MappingProxyType({})


class GutterSigns(Widget):
    """A view of a file with changes and problems in its gutter; both by line, counted from 0.

    A subclass names this base last: Textual takes a widget's styles from its first base only.
    """

    marks: LineMarks = NO_MARKS
    problems: Mapping[int, Severity] = NO_PROBLEMS

    def show_problems(self, problems: Mapping[int, Severity]) -> None:
        """Draw these in the gutter: the worst of each line that has one."""
        if problems != self.problems:
            self.problems = problems
            self.refresh()

    def show_marks(self, marks: LineMarks) -> None:
        """Draw these in the gutter."""
        if marks != self.marks:
            self.marks = marks
            self.refresh()
