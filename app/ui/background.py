"""Work beside the screen that may be given up before it begins."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from textual.dom import DOMNode


def begin(
    node: DOMNode,
    group: str,
    work: Callable[..., Awaitable[object]],
    *arguments: object,
    exclusive: bool = False,
) -> None:
    """Run `work` in `group` of `node`; `exclusive` gives up what runs there."""
    # The function, not its coroutine, which nobody would await where it is given up before it begins. Textual's
    # type fits a function of either kind, which is one too many for the type checker.
    later: Any = partial(work, *arguments)
    # Without a description Textual makes one of all arguments, such as the lines of a whole file with each key.
    node.run_worker(later, group=group, description=group, exclusive=exclusive)


def begin_again(node: DOMNode, group: str, work: Callable[..., Awaitable[object]], *arguments: object) -> None:
    """Run `work` in the place of what runs in `group` of `node`."""
    begin(node, group, work, *arguments, exclusive=True)
