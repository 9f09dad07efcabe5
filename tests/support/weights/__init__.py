"""Models small enough for a test: made at random, trained a little, or fetched."""
