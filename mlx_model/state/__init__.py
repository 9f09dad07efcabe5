"""What a conversation holds in memory, and how it is kept."""
