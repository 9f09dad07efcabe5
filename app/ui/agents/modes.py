"""Names of the application's modes."""

OWN = "own"
"""The user's own workspace; the modes of agents beside it are named after their worktrees."""
