"""Measurements of the screen that a user can run."""
