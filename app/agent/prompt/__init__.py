"""What the model is told: the system prompt, and what goes along with each message."""
