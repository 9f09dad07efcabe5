"""A model put together with its states, drafters and memory, ready to serve requests."""
