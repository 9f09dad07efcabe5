"""Function templates: real Python with names and constants to vary, and calls to test it by."""
