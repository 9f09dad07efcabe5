"""The adapter in training: which projections it changes, its matrices, its published form."""
