"""The user's own workspace and the agents beside it: each is a mode of the application, with its own screen."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from app.errors import TidegateError
from app.review.desks.sources import Sources
from app.ui.agents.modes import OWN
from app.ui.dialogs.confirm import Confirm
from app.ui.dialogs.listing import Listing, ListRow
from app.ui.keys.typed_ahead import opening
from app.ui.ports import Ports, beginning_in
from app.ui.screens.workspace import WorkspaceScreen
from app.worktrees.desk import WorktreeDesk
from app.worktrees.worktrees import Worktree, Worktrees

if TYPE_CHECKING:
    from app.ui.app import TidegateApp

_VERBS = {"enter": "goes there", "n": "begins one", "b": "brings over", "d": "removes"}


@dataclass(frozen=True, slots=True)
class Counted:
    """A worktree, and how many of its hunks were not brought over."""

    worktree: Worktree
    hunks: int


class Agents:
    """Opens, lists and removes agents beside the workspace of `app`, whose screen `own` gives. `ports_of` makes
    what a screen on another directory needs; the engine is shared by all of them."""

    def __init__(
        self, app: "TidegateApp", own: Callable[[], WorkspaceScreen], ports_of: Callable[[Path], Ports]
    ) -> None:
        self._app = app
        self._own = own
        self._ports_of = ports_of
        self._screens: dict[str, WorkspaceScreen] = {}
        self._desks: dict[str, WorktreeDesk] = {}
        self._states: WeakKeyDictionary[WorkspaceScreen, str] = WeakKeyDictionary()

    @property
    def screens(self) -> dict[str, WorkspaceScreen]:
        """The screens that are open, by the names of their places; the user's own first."""
        return {OWN: self._own(), **self._screens}

    @property
    def _worktrees(self) -> Worktrees:
        return Worktrees(self._own().root)

    # What the user sees and does.

    async def show(self) -> None:
        """List the agents; a key goes to one, begins one, brings changes over or removes one."""
        with opening(self._own()):
            await self._list()

    async def _list(self) -> None:
        counted = await self._ask(self._count)
        if counted is None:
            return
        if not counted:
            self.name_new()
            return
        entries = [ListRow(OWN, "your own workspace", _aligned(self._state(OWN)), tone=self._tone(OWN))]
        for one in counted:
            name = one.worktree.name
            hunks = f"{one.hunks} hunk{'' if one.hunks == 1 else 's'} to bring over" if one.hunks else ""
            entries.append(ListRow(name, name, _aligned(self._state(name)), hunks, self._tone(name)))
        known = {one.worktree.name: one for one in counted}

        def chosen(choice: tuple[str, str] | None) -> None:
            if choice is None:
                return
            verb, name = choice
            if verb == "n":
                self.name_new()
            elif name == OWN and verb == "enter":
                self.go(OWN)
            elif name == OWN:
                self._app.notify("This is your own workspace; put the cursor on an agent.")
            elif verb == "enter":
                self._app.run_worker(self.open(known[name].worktree), group="agents")
            elif verb == "b":
                self.bring_over(known[name].worktree)
            else:
                self._confirm_removal(known[name])

        self._app.push_screen(
            Listing("Agents", entries, _VERBS, current=self._row_to_begin_at(counted)), chosen
        )

    def _row_to_begin_at(self, counted: list[Counted]) -> str:
        """The agent that is shown, else one that asks, else the first."""
        names = [one.worktree.name for one in counted]
        asking = (name for name in names if self._state(name) == "asks you")
        return self._app.current_mode if self._app.current_mode in names else next(asking, names[0])

    def _state(self, name: str) -> str:
        screen = self.screens.get(name)
        return "not open" if screen is None else state_of(screen)

    def name_new(self, task: str = "") -> None:
        """Ask what a new agent is to do, beginning with `task`, and begin it."""
        from app.ui.agents.new import NewAgent  # noqa: PLC0415  the first frame does without

        def begin(task: str | None) -> None:
            if task is not None:
                self._app.run_worker(self.begin(task), group="agents")

        self._app.push_screen(NewAgent(task), begin)

    async def begin(self, task: str) -> None:
        """Make a worktree, go there, and send `task` to the agent, if it is not empty."""
        made = await self._ask(lambda: self._worktrees.create(task))
        if made is None:
            if task:
                self.name_new(task)
            return
        screen = await self.open(made)
        if task:
            screen.agent.send(task)

    async def open(self, worktree: Worktree) -> WorkspaceScreen:
        """Go to an agent, opening its screen in its last session if need be."""
        name = worktree.name
        if name not in self._screens:
            session = await asyncio.to_thread(_last_session, worktree.root)
            ports = self._ports_of(worktree.root)
            if session is None:
                # A new agent works as freely as the one that it is begun beside.
                ports = replace(ports, agent=beginning_in(self._own().agent.mode, ports.agent))
            screen = WorkspaceScreen(ports, self._app.user_keymap, None, session)
            self._screens[name] = screen
            self._app.add_mode(name, lambda: screen)
        await self._switch(name)
        return self._screens[name]

    def go(self, name: str) -> None:
        """Go to a place that is open."""
        self._app.run_worker(self._switch(name), group="agents")

    async def _switch(self, name: str) -> None:
        if name != self._app.current_mode:
            with opening(self._own()):
                await self._app.switch_mode(name)

    def bring_over(self, worktree: Worktree) -> None:
        """Show what an agent changed in the review of the user's own workspace."""

        async def show() -> None:
            own = self._own()
            if worktree.name not in self._desks:
                review = own.review.port
                sources = Sources(own.root, review)
                self._desks[worktree.name] = WorktreeDesk(worktree, self._worktrees, sources, review)
            await self._switch(OWN)
            own.review.show_desk(self._desks[worktree.name])
            own.action_show_review()

        self._app.run_worker(show(), group="agents")

    def _confirm_removal(self, counted: Counted) -> None:
        name = counted.worktree.name
        screen = self._screens.get(name)
        losses = []
        if screen is not None and screen.agent.is_working:
            losses.append("It is still working.")
        if counted.hunks:
            them = "A hunk of it was" if counted.hunks == 1 else f"{counted.hunks} hunks of it were"
            losses.append(f"{them} not brought over, and would be lost.")
        if not losses:
            self._app.run_worker(self.remove(counted.worktree), group="agents")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._app.run_worker(self.remove(counted.worktree), group="agents")

        self._app.push_screen(Confirm(f"Remove {name}", " ".join(losses), "Remove it", "Leave it"), answered)

    async def remove(self, worktree: Worktree) -> None:
        """Close an agent's screen and remove its worktree. Its sessions stay."""
        name = worktree.name
        await self._switch(OWN)
        if self._screens.pop(name, None) is not None:
            await self._app.remove_mode(name)
        if (desk := self._desks.pop(name, None)) is not None:
            self._own().review.put_desk_away(desk)
        said = await self._ask(lambda: self._worktrees.remove(worktree))
        if said is not None:
            self._app.notify(f"{name} is removed. {said}".strip())

    # What the agents say.

    def changed(self, screen: WorkspaceScreen) -> None:
        """The agent of `screen` begins, ends, asks or was answered."""
        before, now = self._states.get(screen, "is idle"), state_of(screen)
        self._states[screen] = now
        if screen is not self._app.workspace_screen:
            name = next(
                (name for name, one in self._screens.items() if one is screen), "Your own workspace's agent"
            )
            if now == "asks you":
                key = self._app.key_of("workspace.agents")
                self._app.notify(f"{name} asks you ({key} lists the agents).", severity="warning")
            elif before == "works" and now == "is done":
                self._app.notify(f"{name} is done.")
        self._show_counts()

    def _show_counts(self) -> None:
        for screen in self.screens.values():
            others = [one for one in self.screens.values() if one is not screen]
            working = sum(one.agent.is_working for one in others)
            asking = sum(one.agent.permission.is_asking for one in others)
            screen.show_beside(working, asking)

    def _tone(self, name: str) -> str:
        screen = self.screens.get(name)
        if screen is None:
            return "muted"
        return (
            "error" if screen.agent.permission.is_asking else "accent" if screen.agent.is_working else "success"
        )

    def _count(self) -> list[Counted]:
        own = self._own()
        review = own.review.port
        sources, worktrees = Sources(own.root, review), self._worktrees
        desks = [WorktreeDesk(one, worktrees, sources, review) for one in worktrees.listed()]
        return [Counted(desk.worktree, sum(len(change.hunks) for change in desk.changes())) for desk in desks]

    async def _ask(self, question: Callable[[], Any]) -> Any:
        try:
            return await asyncio.to_thread(question)
        except TidegateError as error:
            self._app.notify(str(error), severity="error", timeout=8)
            return None


def state_of(screen: WorkspaceScreen) -> str:
    """What the agent of a screen does, in words."""
    if screen.agent.permission.is_asking:
        return "asks you"
    return "works" if screen.agent.is_working else "is done" if screen.agent.spoken_session else "is idle"


def _aligned(state: str) -> str:
    return f"{state:8}"  # as wide as the widest, "asks you" and "not open"


def _last_session(root: Path) -> str | None:
    from app.agent.session.index import sessions  # noqa: PLC0415  the first frame does not wait for it

    last = next(sessions(root), None)
    return last.id if last is not None else None
