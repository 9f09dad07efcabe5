"""The card of an adapter: what it was made of, how, and what came of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlx_model.tune.adapters.targets import Shape


def write_card(directory: Path, shape: Shape, told: Mapping[str, Any]) -> None:
    """Writes README.md into `directory`; `told`: as in the adapter's configuration. Raises OSError."""
    schedule, held_out = told["schedule"], told["held_out"]
    targets = ", ".join(shape.targets)
    layers = "all layers" if shape.layers is None else f"the last {shape.layers} layers"
    lines = [
        f"# An adapter of {told['base']}",
        "",
        "Made by `tidegate tune`. It loads in this engine and in mlx-lm, over the model it was made for.",
        "",
        "| | |",
        "|---|---|",
        f"| Made of | {'; '.join(told['made_of'])} |",
        f"| Kind | {shape.kind}, rank {shape.rank}, scale {shape.scale:g}, on {targets} of {layers} |",
        f"| Training | {told['steps']:,} steps of {schedule['batch']} examples, learning rate "
        f"{schedule['learning_rate']:g}, seed {schedule['seed']} |",
        f"| Tokens that count (or pairs) | {told['tokens']:,} |",
        f"| Loss | {told['objective']} |",
        f"| Held-out loss before | {held_out['before']:.4f} |",
        f"| Held-out loss after | {held_out['after']:.4f} |",
        *_preferred(told.get("preferred")),
        f"| Verdict | {held_out['word']} |",
        *_by_source(told["made_of"], told["by_source"]),
        "",
        "What was held out was never trained on. Losses are in nats per token that counts.",
        "",
    ]
    (directory / "README.md").write_text("\n".join(lines), encoding="utf-8")


def _by_source(made_of: Sequence[str], verdicts: Sequence[Mapping[str, Any]]) -> list[str]:
    if len(verdicts) < 2:
        return []
    return [
        f"| Of {source} | {verdict['before']:.4f} → {verdict['after']:.4f}: {verdict['word']} |"
        for source, verdict in zip(made_of, verdicts, strict=True)
    ]


def _preferred(pairs: Mapping[str, int] | None) -> list[str]:
    if pairs is None:
        return []
    return [f"| Held-out pairs preferred | {pairs['before']} → {pairs['after']} of {pairs['pairs']} |"]
