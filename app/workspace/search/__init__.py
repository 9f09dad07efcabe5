"""Finding files by name, text and symbols."""
