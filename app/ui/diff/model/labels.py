"""A few words on a hunk that stand in its heading: "needed", "3 doubtful lines", "moved from x.py"."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tone = Literal["muted", "accent", "success", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Label:
    """Words, and what they mean: one of the palette's foreground colours."""

    text: str
    tone: Tone = "muted"


class Labels:
    """The labels of all hunks. Each source has a name, and puts in its own without regard to others'."""

    def __init__(self) -> None:
        self._by_source: dict[str, Mapping[str, Label]] = {}

    def put(self, source: str, labels: Mapping[str, Label]) -> None:
        """These are all labels that `source` has, by hunk id."""
        self._by_source[source] = labels

    def of(self, hunk_id: str) -> list[Label]:
        """What stands in a hunk's heading, by the order in which sources first came."""
        return [labels[hunk_id] for labels in self._by_source.values() if hunk_id in labels]
