"""Opening a file by some letters of its path."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from app.ui.dialogs.listing import ListRow
from app.ui.find.finder import Finder, Found
from app.workspace.search.fuzzy import Paths

_MOST_SHOWN = 200


class FindFile(Finder):
    """The files that no ignore rule excludes; those that were open lately go first."""

    heading: ClassVar[str] = "Open a file"
    placeholder: ClassVar[str] = "Some letters of its path, in order"
    nothing: ClassVar[str] = "No file has these letters. Ignored files are not looked through."

    def __init__(self, paths: Callable[[], Awaitable[Paths]], recent: Sequence[str]) -> None:
        super().__init__()
        self._paths = paths
        self._recent = recent

    async def look(self, query: str) -> Sequence[ListRow]:
        paths = await self._paths()
        found = await asyncio.to_thread(paths.find, query, _MOST_SHOWN, self._recent)
        self.say(f"{len(paths):,} files")
        return [_row(path) for path in found]

    def found(self, key: str) -> Found:
        return Found(key)


def _row(path: str) -> ListRow:
    folder, _, name = path.rpartition("/")
    return ListRow(path, name, "", folder)
