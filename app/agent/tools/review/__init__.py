"""What the agent has to say in the review."""
