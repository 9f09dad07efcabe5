"""How far a practice task has come: from the failing test to what the hidden tests say of what was kept."""

from dataclasses import dataclass, replace
from typing import Literal

from app.practice.range.judging import Verdict

Stage = Literal["ready", "working", "unchanged", "reviewing", "judging", "judged"]
"""ready: the agent has not been asked. unchanged: it ended and changed nothing. judging: all is decided, and
the hidden tests are to be run."""


@dataclass(frozen=True, slots=True)
class Course:
    """Each method returns the course after something happened. `decided` of `total` hunks are decided."""

    stage: Stage = "ready"
    decided: int = 0
    total: int = 0
    verdict: Verdict | None = None

    def turn_began(self) -> "Course":
        """The agent was asked for something."""
        return replace(self, stage="working", verdict=None)

    def turn_ended(self) -> "Course":
        """The agent is done, or was stopped."""
        return replace(self, stage="unchanged")._at_rest()

    def counted(self, decided: int, total: int) -> "Course":
        """The review shows so many hunks."""
        if (decided, total) == (self.decided, self.total):
            return self
        was_committed = self.total > 0 and total == 0 and self.stage in ("reviewing", "judging", "judged")
        after = replace(self, decided=decided, total=total)
        if was_committed:
            # What was kept stays judged; only what was kept without all being decided is not.
            return after if self.stage != "reviewing" else replace(after, stage="judging", verdict=None)
        return after if self.stage in ("ready", "working") else after._at_rest()

    def files_changed(self) -> "Course":
        """A decision changed files, perhaps without another count: an earlier verdict no longer holds."""
        return replace(self, stage="judging", verdict=None) if self.stage == "judged" else self

    def judged(self, verdict: Verdict) -> "Course":
        """The hidden tests have run."""
        return replace(self, stage="judged", verdict=verdict) if self.stage == "judging" else self

    def _at_rest(self) -> "Course":
        if not self.total:
            return replace(self, stage="unchanged", verdict=None)
        return replace(self, stage="reviewing" if self.decided < self.total else "judging", verdict=None)
