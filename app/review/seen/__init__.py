"""What was seen of commits, ranges and patches: marks by content, so that they outlive a rebase."""
