"""What the practice model is trained on: transcripts, its tokenizer, batches, its own attempts."""
