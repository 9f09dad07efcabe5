"""What `tune` does beside tuning, one thing a module."""
