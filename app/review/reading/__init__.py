"""In which order hunks are best read."""
