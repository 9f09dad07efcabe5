"""The practice model, which is part of Tidegate: nothing is fetched for it."""

from pathlib import Path

import app
from app.model.catalogue.catalogue import LocalModel, fault
from app.model.errors import NoModel

PRACTICE = "practice"
"""What a person calls it."""
DESCRIPTION = "a practice model: 9.9 M parameters, trained for these tasks only"
_DIRECTORY = "assets/practice-model"


def has_practice_model() -> bool:
    """Whether it is there and complete."""
    return fault(_directory()) is None


def practice_model() -> LocalModel:
    """The practice model. Raises NoModel where it is missing or incomplete."""
    directory = _directory()
    wrong = fault(directory)
    if wrong is not None:
        raise NoModel(f"the practice model is missing: {wrong.what}", "install Tidegate again")
    return LocalModel(PRACTICE, directory)


def _directory() -> Path:
    """Inside the package where that was installed, beside it in a checkout."""
    package = Path(app.__file__).resolve().parent
    inside = package / _DIRECTORY
    return inside if inside.is_dir() else package.parent / _DIRECTORY
