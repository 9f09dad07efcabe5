"""Servers that tests start as processes: what an engine, a language server or an MCP server does, and more."""
