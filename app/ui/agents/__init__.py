"""Several agents side by side: each in a git worktree of its own, with a screen of its own."""
