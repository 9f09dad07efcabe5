"""A terminal: programs on a pseudo-terminal, and the screen that they draw."""
