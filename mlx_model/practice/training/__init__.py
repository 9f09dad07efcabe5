"""Training the practice model: optimizer, losses, processes, the folder of a run."""
