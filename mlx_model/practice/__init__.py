"""The practice model: a small Qwen3-Next trained from transcripts of practice tasks, for a machine without a
large model. Only this package needs PyTorch (the extra `practice`)."""
