"""Converting messages to tokens and tokens to text and tool calls."""
