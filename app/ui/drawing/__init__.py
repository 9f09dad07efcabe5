"""Text, colours and highlighting as terminal cells."""
