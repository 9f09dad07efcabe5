"""What an adapter is trained on: the user's files and conversations as sequences of tokens."""
