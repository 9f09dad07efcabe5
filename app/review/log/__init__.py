"""The append-only log of changes and decisions, and the work tree kept in step with it."""
