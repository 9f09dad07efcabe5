"""What the agent pane is made of: the conversation, the message field and what stands between them."""
