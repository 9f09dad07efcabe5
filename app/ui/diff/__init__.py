"""A diff of any number of files in one widget."""
