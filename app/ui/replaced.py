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
    # Without a description Textual makes one of all arguments, such as the lines of a whole file with each key.
    node.run_worker(later, group=group, description=group, exclusive=True)
