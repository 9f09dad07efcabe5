"""The user's settings: a TOML file, and the environment above it."""
