"""Practice repositories with a planted bug, and an expert's sessions that fix them, to train a model on."""
