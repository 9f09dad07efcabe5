"""How the workspace begins."""
