"""Finding the text that an edit means, and putting the new text in its place. Pure."""
