"""Writing in files: the text, its gutter, searching in it, and what happens when somebody else writes too."""
