"""What the command line starts, one command a module."""
