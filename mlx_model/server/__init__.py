"""The wire: OpenAI Chat Completions over HTTP."""
