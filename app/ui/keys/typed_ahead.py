"""Keys that are typed before what they are meant for is in front, as over a slow line or on a busy machine.

Textual gives a key to the widget that has the focus when the key comes in. Where the key before it has yet to
move the focus or to open a box, that is the wrong one. So keys are given one at a time: each when the one
before has been heeded, to whatever has the focus by then.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

from textual import events
from textual.app import App
from textual.dom import DOMNode
from textual.timer import Timer

Typed = events.Key | events.Paste

_LOOKS = 0.1  # seconds between two looks at keys that wait
_PATIENCE = 5.0  # seconds; a pane that hangs for longer must not keep keys from the others


class TypedAhead:
    """What was typed and waits for its turn, in order."""

    def __init__(self, app: App[Any], give: Callable[[Typed], Awaitable[None]]) -> None:
        """`give` gives a key to `app` whatever waits, and calls `given`."""
        self._app = app
        self._give = give
        self._waiting: deque[Typed] = deque()
        self._under_way: object | None = None  # a key, or what was opened
        self._target: DOMNode | None = None  # whom the key was given to
        self._at: DOMNode | None = None  # among whose messages it is, or what came of it
        self._openings = 0
        self._looks = 0  # since a key was last given
        self._timer: Timer | None = None
        self.has_begun = False
        """Whether anything was typed yet."""

    def must_wait(self, event: Typed) -> bool:
        """Whether the key is not to be given yet; then it is given when its time has come."""
        self.has_begun = True
        if not self._waiting and self._is_free:
            return False
        self._waiting.append(event)
        if self._timer is None:
            self._looks = 0
            self._timer = self._app.set_timer(_LOOKS, self._look)
        return True

    @contextmanager
    def opening(self, node: DOMNode) -> Iterator[None]:
        """While what the user asked for is made ready and is not in front yet: what is typed waits for it.
        Whoever made it ready may show it directly after this, and `node` say so."""
        self._openings += 1
        try:
            yield
        finally:
            self._openings = max(0, self._openings - 1)
            if self._under_way is None and self._app.is_running:
                self._under_way = what = object()
                self._app.call_later(self._wait_behind, node, what, 2)

    def given(self, event: Typed, target: DOMNode) -> None:
        """`event` was given to `target`; what is typed next waits until it was heeded."""
        self._target = target
        # First the key goes up from its widget to the application, whose actions it may stand for; then what
        # the action sends to say that something is to be shown; then what opened becomes ready.
        self._wait_behind(target, event, 3)

    @property
    def _is_free(self) -> bool:
        return self._under_way is None and not self._openings

    @property
    def _in_front(self) -> DOMNode:
        return self._app.focused or self._app.screen

    def _wait_behind(self, node: DOMNode | None, what: object, rounds: int) -> None:
        """Wait behind the messages that `node` has now, then behind those of what it is in."""
        self._under_way = what
        self._at = node if node is not None and node.is_attached else self._app
        if not self._at.call_later(self._passed, self._at, what, rounds):  # it is being removed
            self._at = self._app
            self._app.call_later(self._passed, self._app, what, rounds)

    def _passed(self, node: DOMNode, what: object, rounds: int) -> None:
        if what is not self._under_way or node is not self._at:
            return  # it was given up
        is_heeded = rounds == 3 and isinstance(what, Typed) and what._stop_propagation
        if is_heeded and node is self._target and isinstance(what, events.Key) and what.is_printable:
            self._end()  # a letter that was written, as most keys are
        elif not is_heeded and node is not self._app:
            self._wait_behind(node.parent, what, rounds)
        elif rounds > 1:
            self._wait_behind(self._in_front, what, rounds - 1)
        else:
            self._end()

    def _end(self) -> None:
        self._under_way = self._target = self._at = None
        if self._waiting:
            self._app.call_later(self._give_next)

    async def _give_next(self) -> None:
        while self._waiting and self._is_free:
            self._looks = 0
            await self._give(self._waiting.popleft())

    async def _look(self) -> None:
        """Whether what is waited for can still come."""
        self._timer = None
        self._looks += 1
        is_gone = self._at is not None and not self._at.is_attached
        if is_gone or self._looks * _LOOKS > _PATIENCE:
            self._under_way = self._target = self._at = None
            self._openings = 0
            await self._give_next()
        if self._waiting:
            self._timer = self._app.set_timer(_LOOKS, self._look)


@runtime_checkable
class _HasTypedAhead(Protocol):
    typed_ahead: TypedAhead


def opening(node: DOMNode) -> AbstractContextManager[None]:
    """While `node` makes ready what the user asked for, which is to have what is typed from now on."""
    app: object = node.app
    return app.typed_ahead.opening(node) if isinstance(app, _HasTypedAhead) else nullcontext()
