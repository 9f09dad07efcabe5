"""Checkpoints that the server's tests share."""

from pathlib import Path

import pytest

from tests.support.weights.servable import servable_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model with tokenizer and template."""
    return servable_checkpoint(tmp_path_factory.mktemp("models") / "small")
