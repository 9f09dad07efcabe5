"""The pane below the others: tests, terminal and problems."""
