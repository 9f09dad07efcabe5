"""Vim's keys for the message field: what each does to a text, without a screen."""
