"""An MCP server made with the official SDK, for what the reference servers do not do.

    python -m tests.support.mcp_server [--http PORT] [--without TOOL] [--notes FILE]

`--notes` is a file to which `wait` writes that it began, and that it was cancelled.
"""

import argparse
import os
from pathlib import Path

import anyio
from mcp.server.mcpserver import Image, MCPServer
from mcp.types import EmbeddedResource, ResourceLink, TextContent, TextResourceContents, ToolAnnotations

READS = ToolAnnotations(read_only_hint=True)
DESTROYS = ToolAnnotations(read_only_hint=False, destructive_hint=True)


def main() -> None:
    """Serve until the client leaves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--http", type=int)
    parser.add_argument("--without", default="")
    parser.add_argument("--notes", type=Path)
    options = parser.parse_args()
    server = MCPServer("tests")

    def note(text: str) -> None:
        with options.notes.open("a") as file:
            file.write(text + "\n")

    def add(left: int, right: int) -> int:
        """Add two numbers."""
        return left + right

    def look() -> str:
        """Look at something."""
        return "seen"

    def wipe() -> str:
        """Delete everything."""
        return "wiped"

    def picture() -> Image:
        """A picture."""
        return Image(data=b"\x89PNG1234", format="png")

    def mixed() -> list[EmbeddedResource | ResourceLink | TextContent]:
        """Something of everything."""
        inner = TextResourceContents(uri="memo://1", text="remember\x1b[31m me")
        return [
            TextContent(type="text", text="first"),
            EmbeddedResource(type="resource", resource=inner),
            ResourceLink(type="resource_link", uri="file:///a", name="a", description="a file"),
        ]

    def long() -> str:
        """A long text."""
        return "\n".join(f"line {number}" for number in range(100_000))

    def fall() -> str:
        """End the server in mid-call."""
        os._exit(3)

    async def wait() -> str:
        """Say nothing for an hour."""
        note(f"began {os.getpid()}")
        try:
            await anyio.sleep(3600)
        except anyio.get_cancelled_exc_class():
            note("cancelled")
            raise
        return "waited"

    hints = {"look": READS, "wipe": DESTROYS}
    for tool in (add, look, wipe, picture, mixed, long, fall, wait):
        if tool.__name__ != options.without:
            server.add_tool(tool, annotations=hints.get(tool.__name__), structured_output=False)
    if options.http:
        server.run("streamable-http", host="127.0.0.1", port=options.http)
    else:
        server.run("stdio")


if __name__ == "__main__":
    main()
