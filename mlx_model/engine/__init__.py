"""A model assembled with its states, drafters and memory management, ready to serve requests."""
