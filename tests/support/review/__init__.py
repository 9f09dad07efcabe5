"""Changes to review, and what is held against a review."""
