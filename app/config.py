"""Settings: what the user may choose, read from TOML and checked once."""
