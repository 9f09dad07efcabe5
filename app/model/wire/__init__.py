"""The client side of the wire: Chat Completions over HTTP."""
