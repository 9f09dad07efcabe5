"""Small models in memory."""

from pathlib import Path

from mlx_model.engine.loading import load_qwen3_next
from mlx_model.model import Qwen3Next
from mlx_model.weights.checkpoint import open_checkpoint


def load_tiny(directory: Path) -> Qwen3Next:
    """The model of a checkpoint directory, in float32."""
    return load_qwen3_next(open_checkpoint(directory), dtype="float32")
