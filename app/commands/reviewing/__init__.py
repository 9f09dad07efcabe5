"""What `tidegate review` does without a screen."""
