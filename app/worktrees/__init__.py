"""Git worktrees in which agents work beside the user, and their changes as something to review."""
