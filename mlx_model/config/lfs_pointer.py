"""Files that a clone without git-lfs leaves in place of large ones: a few lines that name the content."""

from pathlib import Path

_BEGINNING = b"version https://git-lfs.github.com/spec/"
"""How a pointer begins (git-lfs's docs/spec.md)."""


def pointer_error(path: Path, beginning: bytes) -> str | None:
    """A sentence for the user where a file that begins so is a pointer; None where it is not. At least 8 bytes
    tell it from a model's files."""
    if len(beginning) < 8 or not (beginning.startswith(_BEGINNING) or _BEGINNING.startswith(beginning)):
        return None
    return (
        f"{path} is a git-lfs pointer, not the file itself: the repository was cloned without git-lfs. Run "
        f"`git lfs install && git lfs pull` in {path.parent}, or fetch the model anew with `hf download`."
    )
