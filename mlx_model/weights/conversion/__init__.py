"""Writing a checkpoint in the engine's own layout."""
