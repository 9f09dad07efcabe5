"""What stands in for parts of the engine, and what its results are held against."""
