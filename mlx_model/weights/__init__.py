"""Checkpoints: opened, validated, named, converted, quantized."""
