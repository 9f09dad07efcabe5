"""What a generation took, named as llama.cpp's server names it."""

from mlx_model.decode.request import GenerationFinished


def timings(finished: GenerationFinished) -> dict[str, float]:
    """Counts in tokens, times in milliseconds, rates in tokens a second (0 where there was nothing to time)."""
    computed = finished.prompt_tokens - finished.cached_tokens
    return {
        "cache_n": finished.cached_tokens,
        "prompt_n": computed,
        "prompt_ms": finished.prompt_ms,
        "prompt_per_second": _rate(computed, finished.prompt_ms),
        "predicted_n": finished.generated_tokens,
        "predicted_ms": finished.generated_ms,
        "predicted_per_second": _rate(finished.generated_tokens, finished.generated_ms),
        "draft_n": finished.drafted_tokens,
        "draft_n_accepted": finished.accepted_tokens,
        **_experts(finished),
    }


def _experts(finished: GenerationFinished) -> dict[str, float]:
    """How often experts were needed and found in memory; nothing where all of them always are."""
    if finished.experts_needed is None:
        return {}
    read = finished.experts_read or 0
    return {
        "expert_n": finished.experts_needed,
        "expert_read_n": read,
        "expert_read_bytes": finished.expert_bytes_read or 0,
        "expert_hit_rate": 1 - read / finished.experts_needed if finished.experts_needed else 1.0,
    }


def _rate(count: int, milliseconds: float) -> float:
    return 1000 * count / milliseconds if milliseconds > 0 else 0.0
