"""How the hunks are read: their order, and the lines of the files around them."""
