"""The screen: the one part that knows Textual."""
