"""By what a failed command wrote, whether it failed because it was confined."""

import re

_CONFINED = (
    "read-only file system",
    "operation not permitted",
    "network is unreachable",
    "name resolution",
    "could not resolve",
    # macOS, Go and Node say the same in their own words.
    "nodename nor servname provided",
    "no such host",
    "getaddrinfo enotfound",
    "getaddrinfo eai_again",
    "eperm: ",
    " eperm ",
    "sandbox_apply",
)
_REFUSED = re.compile(r"\bEPERM\b|operation not permitted", re.IGNORECASE)
# What serves or connects: calls, addresses. A traceback has the call some lines above the error, or below it.
_SERVING = re.compile(
    r"\b(?:bind|listen|connect|dial|create_server|localhost|socketserver)\b|(?<!\d)127\.\d+\.\d+\.\d+|\[?::1\b|"
    r"\b0\.0\.0\.0\b|TcpListener|\b(?:Bind|Socket)Exception\b",
    re.IGNORECASE,
)
_LINES_AROUND = 6
_MOST_CHARACTERS = 64_000  # looked at, from the end


def was_confined(output: str) -> bool:
    """Whether a command that failed with `output` was kept from something by the sandbox, it seems."""
    said = output.lower()
    return any(words in said for words in _CONFINED)


def was_kept_from_serving(output: str) -> bool:
    """Whether it was kept from an address of this machine, it seems: as a server, or on the way to one."""
    lines = output[-_MOST_CHARACTERS:].splitlines()
    refused = [number for number, line in enumerate(lines) if _REFUSED.search(line)]
    return any(
        _SERVING.search(line)
        for number in refused
        for line in lines[max(0, number - _LINES_AROUND) : number + _LINES_AROUND + 1]
    )
