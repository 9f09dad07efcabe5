"""An MCP server over streamable HTTP by the official SDK: python -m tests.support.mcp_http_server PORT"""

import sys

from mcp.server.mcpserver import MCPServer


def main() -> None:
    """Serve until killed."""
    server = MCPServer("tests")

    def add(left: int, right: int) -> int:
        """Add two numbers."""
        return left + right

    server.add_tool(add)
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))


if __name__ == "__main__":
    main()
