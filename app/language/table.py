"""Which server is for which files; a user's settings add to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.settings.language import LanguageServerSetting

_JAVASCRIPT = {
    ".ts": "typescript",
    ".mts": "typescript",
    ".cts": "typescript",
    ".tsx": "typescriptreact",
    ".js": "javascript",
    ".mjs": "javascript",
    ".cjs": "javascript",
    ".jsx": "javascriptreact",
}
_C = {".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp", ".cxx": "cpp", ".hpp": "cpp", ".m": "objective-c"}
_PYTHON = {".py": "python", ".pyi": "python"}


@dataclass(frozen=True, slots=True)
class Server:
    """A server called `name`, started by `command`, for files by their suffixes, each with the protocol's name
    of its language. Of several with the same `role`, the first that is installed is used."""

    name: str
    command: tuple[str, ...]
    languages: Mapping[str, str]
    role: str

    def language_of(self, path: str) -> str | None:
        """The language of a file, if it is one for this server."""
        return self.languages.get(PurePosixPath(path).suffix.lower())


SERVERS: tuple[Server, ...] = (
    Server("basedpyright", ("basedpyright-langserver", "--stdio"), _PYTHON, "python types"),
    Server("pyright", ("pyright-langserver", "--stdio"), _PYTHON, "python types"),
    Server("ruff", ("ruff", "server"), _PYTHON, "python rules"),
    Server("typescript", ("typescript-language-server", "--stdio"), _JAVASCRIPT, "javascript"),
    Server("gopls", ("gopls",), {".go": "go"}, "go"),
    Server("rust-analyzer", ("rust-analyzer",), {".rs": "rust"}, "rust"),
    Server("clangd", ("clangd", "--background-index=false"), _C, "c"),
    Server("zls", ("zls",), {".zig": "zig"}, "zig"),
    Server("lua", ("lua-language-server",), {".lua": "lua"}, "lua"),
    Server("ruby", ("ruby-lsp",), {".rb": "ruby"}, "ruby"),
    Server("bash", ("bash-language-server", "start"), {".sh": "shellscript", ".bash": "shellscript"}, "bash"),
)


def servers_of(settings: Sequence[LanguageServerSetting]) -> tuple[Server, ...]:
    """The table, with the user's servers in front of it and in the place of those of the same names."""
    known = {server.name: server for server in SERVERS}
    own = []
    for one in settings:
        usual = known.pop(one.name, None)
        languages = {suffix: suffix.lstrip(".") for suffix in one.suffixes}
        if usual is not None:
            languages = {**usual.languages, **languages}
        if one.command:
            own.append(Server(one.name, one.command, languages, usual.role if usual is not None else one.name))
    return (*own, *known.values())
