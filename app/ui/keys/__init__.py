"""The table of actions, and the keys that do them."""
