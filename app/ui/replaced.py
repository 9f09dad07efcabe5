"""Work that is given up when it is begun again."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from textual.dom import DOMNode


def begin_again(node: DOMNode, group: str, work: Callable[..., Awaitable[object]], *arguments: object) -> None:
    """Run `work` in the place of what runs in `group` of `node`."""
    # The function, not its coroutine, which nobody would await where it is given up before it begins. Textual's
    # type fits a function of either kind, which is one too many for the type checker.
    later: Any = partial(work, *arguments)
    node.run_worker(later, group=group, exclusive=True)
