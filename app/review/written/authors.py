"""Which of the agent's calls wrote which lines of a hunk. Reads the state, changes nothing."""

from app.review.display import Shown
from app.review.log.change_log import ReviewState, TurnName
from app.review.log.weave import Atom, BlockFacts
from app.review.model import WrittenBy


def authors(state: ReviewState, path: str, shown: Shown) -> tuple[WrittenBy, ...]:
    """The calls that have a part in a hunk of the file `path`, oldest first. A call that only removed lines
    has none of those that it added."""
    blocks = state.files[path].weave.blocks
    added: dict[int, list[int]] = {}
    turns: dict[int, int] = {}
    for name in shown.blocks:
        if blocks[name].owner == "agent":
            added.setdefault(blocks[name].edit, [])
            turns[blocks[name].edit] = blocks[name].turn
    for number, (line, atoms) in enumerate(zip(shown.hunk.lines, shown.atoms, strict=bool(shown.atoms))):
        edit = next((blocks[a[0]].edit for a in atoms if _adds(blocks[a[0]], a)), None)
        if line.kind == "added" and edit in added:
            added[edit].append(number)
    unknown = TurnName("", 0, "")
    return tuple(
        WrittenBy(name.session, name.turn, state.calls.get(edit, ""), tuple(lines))
        for edit, lines in sorted(added.items())
        for name in [state.turns.get(turns[edit], unknown)]
    )


def _adds(block: BlockFacts, atom: Atom) -> bool:
    return atom[1] >= block.removed
