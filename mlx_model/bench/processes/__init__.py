"""Processes that a measurement starts, and that end with it."""
