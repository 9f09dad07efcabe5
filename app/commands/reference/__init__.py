"""What the command line prints about itself."""
