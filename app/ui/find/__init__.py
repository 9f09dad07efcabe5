"""Finding files, text and symbols, in boxes over the screen."""
