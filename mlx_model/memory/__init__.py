"""What a model needs of this machine's memory: planned before loading, watched while serving."""
