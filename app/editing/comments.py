"""Turning lines into comments and back, by a file's language."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from app.editing.indentation import leading
from app.workspace.files.line_endings import in_common

Marks = tuple[str, str]
"""What a comment begins with, and what it ends with; "" where it ends with the line."""

_ENDINGS: dict[Marks, str] = {
    ("#", ""): "py pyi sh bash zsh fish rb pl pm r jl yaml yml toml conf cfg properties mk cmake tf nix ex exs "
    "tcl awk gitignore dockerignore gitattributes editorconfig env nim cr coffee gd graphql",
    (
        "//",
        "",
    ): "js jsx mjs cjs ts tsx mts cts go rs c h cc cpp cxx hpp hh m mm java kt kts scala swift cs "
    "dart php zig proto jsonc json5 scss less groovy gradle sol v sv glsl metal cu",
    ("--", ""): "sql lua hs elm adb ads vhd vhdl",
    ("%", ""): "tex sty cls erl hrl",
    (";", ""): "lisp cl el scm rkt clj cljs edn ini asm s",
    ("!", ""): "f90 f95 f03",
    ('"', ""): "vim",
    ("<!--", "-->"): "html htm xml svg md markdown vue svelte xhtml plist",
    ("/*", "*/"): "css",
    ("(*", "*)"): "ml mli",
}
_BY_ENDING = {ending: marks for marks, endings in _ENDINGS.items() for ending in endings.split()}
_BY_NAME: dict[str, Marks] = dict.fromkeys(
    ("Makefile", "makefile", "GNUmakefile", "Dockerfile", "Gemfile", "Rakefile", "Vagrantfile", "Justfile"),
    ("#", ""),
)


def marks_for(name: str) -> Marks | None:
    """How files called `name` mark comments, None where that is not known."""
    path = PurePosixPath(name)
    ending = path.suffix.removeprefix(".") or path.name.removeprefix(".")
    return _BY_NAME.get(path.name) or _BY_ENDING.get(ending.lower())


def toggled(lines: Sequence[str], marks: Marks) -> list[str]:
    """`lines` as comments; where all are comments already, without the marks. Blank lines stay as they are, and
    the marks stand below each other."""
    begin, end = marks
    written = [line for line in lines if line.strip()]
    if not written:
        return list(lines)
    if all(line.lstrip().startswith(begin) for line in written):
        return [_bare(line, begin, end) if line.strip() else line for line in lines]
    margins = [leading(line) for line in written]
    # What all of them begin with: so much of the least, in characters, as of the greatest.
    least, most = min(margins), max(margins)
    margin = least[: in_common(least, most)]
    behind = f" {end}" if end else ""
    return [f"{margin}{begin} {line[len(margin) :]}{behind}" if line.strip() else line for line in lines]


def _bare(line: str, begin: str, end: str) -> str:
    margin = leading(line)
    text = line[len(margin) + len(begin) :].removeprefix(" ")
    if end and text.rstrip().endswith(end):
        text = text.rstrip().removesuffix(end).removesuffix(" ")
    return margin + text
