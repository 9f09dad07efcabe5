"""What others than the user say about hunks, kept beside the review's log and shown like comments."""
