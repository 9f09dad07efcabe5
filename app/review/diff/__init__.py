"""Diffs as values: comparing, parsing, patch surgery. No Textual, no git processes."""
