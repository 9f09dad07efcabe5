"""What a user chooses once: theme, settings, keys."""
