"""How much a model is to think, as servers take it: each has its own fields, and a strict one may refuse what
it does not know."""

from typing import Any

from app.settings.settings import Effort

OURS = "tidegate"
"""The `owned_by` of our own engine's models."""

_SWITCH = "enable_thinking"
"""The variable of Qwen's and most other chat templates that switches thoughts on and off."""
UNNAMED = ""
"""mlx_lm.server names nobody."""
_TAKE_VARIABLES = {"vllm", "sglang", "llamacpp", UNNAMED}
"""By `owned_by`, the servers that are known to take variables of the chat template."""
_BUDGETS = {
    OURS: "thinking_token_budget",
    "vllm": "thinking_token_budget",
    "llamacpp": "thinking_budget_tokens",
}
"""The field of the budget, by `owned_by`."""

NO_BUDGET = "This server is not known to end a thought at a budget: reasoning_budget has no effect here."


def effort_fields(effort: Effort, budget: int, owners: frozenset[str]) -> dict[str, Any]:
    """The fields of a request for `effort` and for at most `budget` tokens of thought (0: any number), for a
    server whose models have these `owned_by`."""
    fields: dict[str, Any] = {}
    if effort == "off":
        # Ours also ends the thought of a model whose template has no switch.
        return {"reasoning_effort": "none"} if OURS in owners else {"chat_template_kwargs": {_SWITCH: False}}
    if effort != "default":
        fields["reasoning_effort"] = effort
        if owners & _TAKE_VARIABLES:
            # Some small models think only if they are told to; llama-server and mlx_lm.server know no other
            # field for the effort.
            fields["chat_template_kwargs"] = {_SWITCH: True, "reasoning_effort": effort}
    if budget:
        fields |= {_BUDGETS[owner]: budget for owner in owners & _BUDGETS.keys()}
    return fields


def lacks_budget(budget: int, owners: frozenset[str]) -> bool:
    """Whether a budget is wanted that the server cannot be told of."""
    return bool(budget) and not owners & _BUDGETS.keys()
