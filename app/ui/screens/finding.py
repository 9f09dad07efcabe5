"""What is found, opened and walked: files, text and symbols."""

# ruff: noqa: PLC0415  boxes are imported when they open: the first frame does without them
import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from app.errors import TidegateError
from app.workspace.search.fuzzy import Paths
from app.workspace.search.ripgrep import Match
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from app.ui.find.finder import Found
    from app.ui.screens.workspace import WorkspaceScreen

_MOST_IN_TREE = 200  # files of a filter; with more, one writes on
_MOST_OFFERED = 20  # files, and symbols, in the palette
_MOST_RECENT = 50  # files that are offered first
_LONGEST_TOLD = 120  # characters of a result
_MOST_HANDED = 40  # results that the agent is given; it can search by itself


class Finding:
    """Opens the boxes over `screen`, and remembers the files that were open and the last results."""

    def __init__(self, screen: "WorkspaceScreen", workspace: Workspace) -> None:
        self._screen = screen
        self._workspace = workspace
        self.recent: list[str] = []
        """Files that were opened, the last first."""
        self._results: tuple[Match, ...] = ()
        self._at = 0
        self._paths: Paths | None = None

    def disk_changed(self) -> None:
        """Files may have come or gone: they are listed again when they are next looked for."""
        self._paths = None

    async def paths(self) -> Paths:
        """The files that no ignore rule excludes."""
        if self._paths is None:
            self._paths = await asyncio.to_thread(lambda: Paths(self._workspace.files()))
        return self._paths

    async def filtered(self, query: str) -> list[str]:
        """The files that have the letters of `query`, as many as a tree can show. Raises TidegateError."""
        paths = await self.paths()
        return await asyncio.to_thread(paths.find, query, _MOST_IN_TREE)

    async def named(self, query: str) -> list[tuple[str, str, Callable[[], None]]]:
        """Files, and symbols of the file in view, that `query` may mean: each by its name, where it is, and
        what goes there."""
        found: list[tuple[str, str, Callable[[], None]]] = []
        try:
            paths = await self.paths()
            for path in await asyncio.to_thread(paths.find, query, _MOST_OFFERED, self.recent):
                found.append((path, "file", partial(self._open_alone, path, 1)))
            here = self._screen.viewer.path
            symbols = await asyncio.to_thread(self._workspace.symbols_of, here) if here is not None else ()
        except TidegateError:
            return found  # the box that looks for files says why
        wanted = query.casefold()
        close = [symbol for symbol in symbols if wanted in symbol.name.casefold()][:_MOST_OFFERED]
        for symbol in close:
            where = f"{symbol.kind} in line {symbol.line}"
            found.append((symbol.name, where, partial(self._open_alone, symbol.path, symbol.line)))
        return found

    def opened(self, path: str) -> None:
        """A file was opened."""
        self.recent = [path, *(one for one in self.recent if one != path)][:_MOST_RECENT]

    def find_file(self) -> None:
        """Ask for a file."""
        from app.ui.find.files import FindFile

        # The file in view is the one that nobody looks for.
        recent = [path for path in self.recent if path != self._screen.viewer.path]
        self._screen.app.push_screen(FindFile(self.paths, recent), self._go)

    def find_text(self, query: str = "") -> None:
        """Ask for a text."""
        from app.ui.find.text import FindText

        self._screen.app.push_screen(FindText(self._workspace, query), self._go)

    def find_symbol(self, *, only_here: bool = False) -> None:
        """Ask for a symbol."""
        from app.ui.find.symbols import FindSymbol

        path = self._screen.viewer.path
        self._screen.app.push_screen(FindSymbol(self._workspace, path, only_here=only_here), self._go)

    def _go(self, found: "Found | None") -> None:
        if found is None:
            return
        self._results = found.results
        if found.for_agent:
            self._hand_over()
            return
        places = [(match.path, match.line) for match in found.results]
        self._at = places.index((found.path, found.line)) if places else 0
        self._open(found.path, found.line)

    def walk(self, places: Sequence[Match], at: int) -> None:
        """Open the place `at` of `places`; the keys for the next result go to the others."""
        self._results, self._at = tuple(places), at
        self._open(places[at].path, places[at].line)

    def _open_alone(self, path: str, line: int) -> None:
        self._results = ()
        self._open(path, line)

    def _open(self, path: str, line: int) -> None:
        screen = self._screen
        screen.open_file(path, line, walks_results=bool(self._results))
        screen.action_show_viewer()

    def step(self, step: int) -> None:
        """Open the next result, or the one before, around the end."""
        if not self._results:
            return
        self._at = (self._at + step) % len(self._results)
        match = self._results[self._at]
        self._open(match.path, match.line)
        told = f": {match.text.strip()[:_LONGEST_TOLD]}" if match.text.strip() else "."
        self._screen.notify(f"{self._at + 1:,} of {len(self._results):,}{told}", timeout=3)

    def _hand_over(self) -> None:
        """Put the results into the message, for the user to say what is to be done with them."""
        results = self._results[:_MOST_HANDED]
        lines = [f"{match.path}:{match.line}: {match.text.strip()}" for match in results]
        more = len(self._results) - len(results)
        lines += [f"({more:,} more)"] if more > 0 else []
        self.put_into_message(lines)

    def put_into_message(self, lines: Sequence[str]) -> None:
        """Put `lines` into the message, for the user to say what is to be done with them."""
        screen = self._screen
        screen.action_show_agent()
        prompt = screen.agent.prompt
        written = prompt.full_text()
        prompt.set_draft("\n".join(["", "", *lines]) if not written else "\n".join([*lines, ""]))
        prompt.move_cursor((0, 0) if not written else prompt.document.end)
