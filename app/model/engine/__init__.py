"""The engine behind the wire: our own process, or somebody's server."""
