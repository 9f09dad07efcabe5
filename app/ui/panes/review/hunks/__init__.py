"""What the review asks of the agent about its hunks: questions, other takes, doubt."""
