"""The screen. The only part that imports Textual."""
