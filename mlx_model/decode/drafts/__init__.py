"""Sources of drafts: tokens proposed ahead of the model, which it then verifies in one pass."""
