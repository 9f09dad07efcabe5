"""The client of the wire, and the life of the engine process behind it."""
