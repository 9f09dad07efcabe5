"""The rows of a review, what is folded, found and selected: no part of it knows the screen."""
