"""Tidegate's workspace: everything the user sees, and the agent. It speaks to an engine over HTTP only."""
