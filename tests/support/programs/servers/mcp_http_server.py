"""An MCP server over streamable HTTP by the official SDK, on a port of its own choice, which it prints."""

import socket

import uvicorn
from mcp.server.mcpserver import MCPServer


def main() -> None:
    """Serve until killed."""
    server = MCPServer("tests")

    def add(left: int, right: int) -> int:
        """Add two numbers."""
        return left + right

    server.add_tool(add)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="critical")).run(sockets=[listener])


if __name__ == "__main__":
    main()
