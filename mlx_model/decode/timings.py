"""The `timings` of a reply, in llama.cpp's field names."""

from typing import Any

from mlx_model.decode.request import GenerationCosts


def timings(costs: GenerationCosts) -> dict[str, Any]:
    """Counts in tokens, times in milliseconds, rates in tokens a second (0 where there was nothing to time);
    llama.cpp lacks `draft_sources`, the counts of each source that drafted, and `shared_n`, how many tokens
    were decoded together with other replies, if any were."""
    computed = costs.prompt_tokens - costs.cached_tokens
    return {
        "cache_n": costs.cached_tokens,
        "prompt_n": computed,
        "prompt_ms": costs.prompt_ms,
        "prompt_per_second": _rate(computed, costs.prompt_ms),
        "predicted_n": costs.generated_tokens,
        "predicted_ms": costs.generated_ms,
        "predicted_per_second": _rate(costs.generated_tokens, costs.generated_ms),
        "draft_n": costs.drafted_tokens,
        "draft_n_accepted": costs.accepted_tokens,
        "draft_sources": {
            drafts.source: {"draft_n": drafts.drafted, "draft_n_accepted": drafts.accepted}
            for drafts in costs.drafts
        },
        **({"shared_n": costs.shared_tokens} if costs.shared_tokens else {}),
        **_experts(costs),
    }


def _experts(costs: GenerationCosts) -> dict[str, float]:
    """How often experts were needed and found in memory; empty where all experts are resident."""
    if costs.experts_needed is None:
        return {}
    read = costs.experts_read or 0
    return {
        "expert_n": costs.experts_needed,
        "expert_read_n": read,
        "expert_read_bytes": costs.expert_bytes_read or 0,
        "expert_hit_rate": 1 - read / costs.experts_needed if costs.experts_needed else 1.0,
    }


def _rate(count: int, milliseconds: float) -> float:
    return 1000 * count / milliseconds if milliseconds > 0 else 0.0
