"""The machine's memory: planned before a model is loaded, watched for memory pressure while it serves."""
