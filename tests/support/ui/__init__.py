"""The screen, in a test and in a terminal."""
