"""Files that are read and written in memory: what a take writes never reaches the disk."""

from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from app.agent.errors import ToolFailure
from app.agent.tools.files import Files
from app.review.model import FileImage
from app.review.unrecorded import Unrecorded
from app.workspace.files.reading import TooLarge
from app.workspace.files.text import decode
from app.workspace.names import is_git_name
from app.workspace.workspace import Location, Workspace


class Copies(Files):
    """Begins with the files `images` (None: there is none), which the model has seen; any other is as it is on
    the disk. Where `only` is a path, no other file is written."""

    def __init__(self, workspace: Workspace, images: Mapping[str, FileImage | None], only: str = "") -> None:
        super().__init__(Unrecorded())
        self.only = only
        self._now: dict[Path, FileImage | None] = {}
        self.begun: dict[str, FileImage | None] = dict(images)
        """What the files were, by path: those it begins with, and those that were written since."""
        self._places: dict[str, Path] = {}
        for path, image in images.items():
            location = workspace.locate(path)
            self._now[location.absolute] = image
            self._places[path] = location.absolute
            text = decode(image.data) if image is not None else None
            if text is not None:
                self.saw(location, text)

    @property
    def files(self) -> dict[str, FileImage | None]:
        """What the files are now, by the paths of `begun`."""
        return {path: self._now[place] for path, place in self._places.items()}

    @override
    def _image(self, location: Location) -> FileImage | None:
        if location.absolute in self._now:
            return self._now[location.absolute]
        return super()._image(location)

    @override
    def _data(self, absolute: Path, name: str, limit: int) -> bytes:
        image = self._now.get(absolute)
        if image is None:
            return super()._data(absolute, name, limit)
        if len(image.data) > limit:
            raise TooLarge(name, len(image.data), limit)
        return image.data

    @override
    def _put(self, location: Location, found: FileImage | None, image: FileImage) -> None:
        if self.only and location.path != self.only:
            raise ToolFailure(f"Not done: only {self.only} is written again. Leave {location.path} as it is.")
        if not location.is_inside or any(is_git_name(part) for part in Path(location.path).parts):
            raise ToolFailure(f"Not done: {location.path} is no file of the project's own.")
        self.begun.setdefault(location.path, found)
        self._places[location.path] = location.absolute
        self._now[location.absolute] = image
