"""Tools of MCP servers. Optional: the official SDK is imported only where a server is named."""
