"""Searching text in all files, with results as one writes."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual.widgets import Input

from app.ui.dialogs.listing import ListRow
from app.ui.find.finder import Finder, Found
from app.workspace.search.ripgrep import Match
from app.workspace.workspace import Workspace

_MOST_SHOWN = 1_000  # results; who gets more writes more of what is looked for


class FindText(Finder):
    """Lines that hold a text, or match a regular expression, in all files or in some."""

    heading: ClassVar[str] = "Search in all files"
    placeholder: ClassVar[str] = "Text to look for"
    nothing: ClassVar[str] = "No line has this."

    def __init__(self, workspace: Workspace, query: str = "") -> None:
        super().__init__(query)
        self._workspace = workspace
        self._glob = Input(placeholder="Which files, such as *.py or src/ (none: all)", id="find-glob")
        self._is_regex = False
        self._minds_case: bool | None = None
        self._matches: tuple[Match, ...] = ()

    def keys(self) -> Sequence[str]:
        return ("regex", "case", "glob", "hand_over")

    def fields(self) -> Sequence[Input]:
        self._glob.display = False
        return (self._glob,)

    async def look(self, query: str) -> Sequence[ListRow]:
        if not query:
            self._matches = ()
            self.say(self._how(query))
            return ()
        globs = self._glob.value.split()
        result = await asyncio.to_thread(
            lambda: self._workspace.search(
                query,
                globs=globs,
                limit=_MOST_SHOWN,
                is_literal=not self._is_regex,
                ignore_case=not self._case(query),
            )
        )
        self._matches = result.matches
        files = len({match.path for match in result.matches})
        more = "" if result.is_complete else "more than "
        lines, count = ("line" if len(result.matches) == 1 else "lines"), len(result.matches)
        self.say(f"{more}{count:,} {lines} in {files:,} {'file' if files == 1 else 'files'}{self._how(query)}")
        return [
            ListRow(str(number), match.text.strip(), f"{match.path}:{match.line}", tone="accent")
            for number, match in enumerate(result.matches)
        ]

    def _case(self, query: str) -> bool:
        """Whether capitals matter: as chosen, else if there are any in the query."""
        return self._minds_case if self._minds_case is not None else query != query.lower()

    def _how(self, query: str) -> str:
        how = [*(["regex"] if self._is_regex else []), *(["Aa"] if self._case(query) else [])]
        return f" ({', '.join(how)})" if how else ""

    def found(self, key: str) -> Found:
        match = self._matches[int(key)]
        return Found(match.path, match.line, self._matches)

    def action_regex(self) -> None:
        self._is_regex = not self._is_regex
        self.search()

    def action_case(self) -> None:
        self._minds_case = not self._case(self.field.value)
        self.search()

    def action_glob(self) -> None:
        if self._glob.has_focus:
            self.field.focus()
        else:
            self._glob.display = True
            self._glob.focus()

    def action_hand_over(self) -> None:
        if self._matches:
            first = self._matches[0]
            self.dismiss(Found(first.path, first.line, self._matches, for_agent=True))
