"""What the agent knows of a hunk that it wrote: the call that wrote it, its doubt, and other ways."""
