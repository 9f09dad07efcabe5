"""A conversation in memory and on disk."""
