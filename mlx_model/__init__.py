"""Tidegate's engine: Qwen3-Coder-Next in MLX behind an OpenAI Chat Completions server."""
