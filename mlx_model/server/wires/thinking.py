"""How much a reasoning model is to think, as requests say it: OpenAI's `reasoning_effort`."""

from collections.abc import Mapping
from typing import Literal

from mlx_model.chat.template import ChatTemplate

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""OpenAI's values."""

_VARIABLE = "reasoning_effort"
EFFORT_BUDGETS: Mapping[Effort, int] = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192}
"""Tokens of thought, for templates without a variable for effort; from high on it may be as long as the model
wants. The numbers are those that Google documents for reasoning_effort with models that only know a budget."""

NO_THOUGHTS = "This model does not think before it answers: effort and budget of thoughts have no effect."


def effort_variables(effort: Effort | None) -> dict[str, bool | int | float | str | None]:
    """An effort as variables of a chat template."""
    if effort is None:
        return {}
    return {"enable_thinking": False} if effort == "none" else {"enable_thinking": True, _VARIABLE: effort}


def effort_budget(effort: Effort | None, template: ChatTemplate) -> int | None:
    """The tokens of thought that an effort comes to; None: as many as the model wants."""
    if effort is None or (effort != "none" and template.knows(_VARIABLE)):
        return None
    return EFFORT_BUDGETS.get(effort)
