"""Editing a file by hand, without a screen."""
