"""Going to a symbol: of the file in view, or of any file."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from app.ui.dialogs.listing import ListRow
from app.ui.find.finder import Finder, Found
from app.workspace.search.symbols import Symbol
from app.workspace.workspace import Workspace

_MOST_SHOWN = 500


class FindSymbol(Finder):
    """The definitions of the file at `path` as long as nothing is written, and after that those of all files
    that are called so; with `only_here` those of the one file."""

    heading: ClassVar[str] = "Go to a symbol"
    placeholder: ClassVar[str] = "A part of its name"
    nothing: ClassVar[str] = "No symbol is called so."

    def __init__(self, workspace: Workspace, path: str | None, *, only_here: bool = False) -> None:
        super().__init__()
        self._workspace = workspace
        self._path = path
        self._only_here = only_here
        self._here: tuple[Symbol, ...] | None = None
        self._symbols: Sequence[Symbol] = ()

    async def look(self, query: str) -> Sequence[ListRow]:
        workspace, path = self._workspace, self._path
        if self._here is None:
            self._here = await asyncio.to_thread(workspace.symbols_of, path) if path is not None else ()
        wanted = query.casefold().strip()
        found: Sequence[Symbol] = [one for one in self._here if wanted in one.name.casefold()]
        if wanted and not self._only_here:
            others = await asyncio.to_thread(workspace.symbols, query)
            found = [*found, *(one for one in others if one.path != path)]
        self._symbols = found[:_MOST_SHOWN]
        self.say("in this file" if self._only_here or not wanted else "in all files")
        return [
            ListRow(str(number), one.name, f"{one.kind:<9}", f"{one.path}:{one.line}")
            for number, one in enumerate(self._symbols)
        ]

    def found(self, key: str) -> Found:
        symbol = self._symbols[int(key)]
        return Found(symbol.path, symbol.line)
