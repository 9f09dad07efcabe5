"""A folder of code to train on, with little enough text that every sequence is taken more than once."""

from pathlib import Path


def small_code(folder: Path) -> Path:
    """Writes three files to `folder`, which it returns."""
    for name in ("one", "two", "three"):
        (folder / f"{name}.py").write_text(f"def {name}(x):\n    return x + {len(name)}\n" * 2)
    return folder
