"""Commands as processes: started, confined, read and ended."""
