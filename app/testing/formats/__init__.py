"""What test runners print, one runner a file: each takes the lines of an output and gives a report."""
