"""Tuning: an adapter (LoRA or DoRA) trained through the frozen model, packed or not."""
