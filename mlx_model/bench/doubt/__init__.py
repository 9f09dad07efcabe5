"""Whether a model's doubt in the lines it writes predicts which of them are wrong."""
