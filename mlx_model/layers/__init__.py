"""The mathematics, one mechanism a file."""
