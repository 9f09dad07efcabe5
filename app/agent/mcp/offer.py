"""A tool of an MCP server as sessions keep it.

This module does without pydantic: the screen knows sessions before its first frame, which pydantic would delay.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.model.messages import ToolSpecification


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool as a server offered it, and as the session keeps it. `name` is what the model calls it."""

    name: str
    server: str
    tool: str
    description: str
    parameters: Mapping[str, Any]
    is_read_only: bool = False
    is_destructive: bool = False

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Offer":
        """The offer in a session's file, which holds the fields by name. Raises TypeError on anything else."""
        return cls(**record)

    @property
    def specification(self) -> ToolSpecification:
        """The tool as the model is told of it."""
        return ToolSpecification(self.name, self.description, self.parameters)
