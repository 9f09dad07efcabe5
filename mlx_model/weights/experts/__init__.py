"""Routed experts on disk and in memory: where each one lies, and which are loaded."""
