"""The HTTP server: OpenAI Chat Completions."""
