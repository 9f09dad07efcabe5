"""Examples for training an adapter, made of what the user decided in the review; and training by night."""
