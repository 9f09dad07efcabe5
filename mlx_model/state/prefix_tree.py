"""The tier in memory: a tree of snapshots, each holding the keys and values since its parent."""

from bisect import bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from mlx_model.state.prefix_state import Arrays, PrefixState, Segment, array_bytes


@dataclass(slots=True, eq=False)
class _Node:
    segment: Segment
    parent: "_Node | None"
    recurrent: Arrays | None = None
    children: int = 0


class PrefixTree:
    """Snapshots by the digest of their prefix, least recently used first to go.

    A node whose recurrent part was evicted stays as long as a deeper snapshot needs its segment, so a chain is
    never broken. The budget holds always: a snapshot that is larger by itself is none for memory.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._nodes: dict[bytes, _Node] = {}
        self._used: OrderedDict[bytes, _Node] = OrderedDict()  # nodes with a recurrent part, oldest use first
        self._counts: Counter[int] = Counter()
        self._positions: list[int] = []  # distinct, ascending
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._used)

    @property
    def nbytes(self) -> int:
        """Bytes of all segments and recurrent parts; each is held once."""
        return self._bytes

    def fits(self, nbytes: int) -> bool:
        """Whether a snapshot of so many bytes, its whole chain counted, could be here."""
        return nbytes <= self._budget

    def positions(self, limit: int) -> Sequence[int]:
        """The positions up to `limit` at which there is a node, ascending."""
        return self._positions[: bisect_right(self._positions, limit)]

    def __contains__(self, digest: bytes) -> bool:
        """Whether a whole state is here."""
        return digest in self._used

    def chain(self, digest: bytes) -> tuple[Segment, ...]:
        """The segments from token 0 to the prefix; none when it is not here."""
        segments: list[Segment] = []
        node = self._nodes.get(digest)
        while node is not None:
            segments.append(node.segment)
            node = node.parent
        return tuple(reversed(segments))

    def get(self, digest: bytes) -> PrefixState:
        """The snapshot, which is now the one used last. The first of its chain, the end of the system prompt
        that every new conversation begins from, counts as used with it."""
        recurrent = self._used[digest].recurrent
        assert recurrent is not None, "only nodes with a recurrent part are listed as used"
        state = PrefixState(self.chain(digest), recurrent)
        first = state.segments[0].digest
        if first in self._used:
            self._used.move_to_end(first)
        self._used.move_to_end(digest)
        return state

    def insert(self, state: PrefixState) -> None:
        """Add what is missing of the chain and the recurrent part; then evict down to the budget. What is too
        large is left out."""
        if not self.fits(state.nbytes):
            return
        known = len(state.segments)
        while known and state.segments[known - 1].digest not in self._nodes:
            known -= 1
        parent = self._nodes[state.segments[known - 1].digest] if known else None
        for segment in state.segments[known:]:
            parent = self._add(segment, parent)
        assert parent is not None, "a snapshot has at least one segment"
        if parent.recurrent is None:
            parent.recurrent = state.recurrent
            self._bytes += array_bytes(state.recurrent)
            self._used[parent.segment.digest] = parent
        self._used.move_to_end(parent.segment.digest)
        self.shrink(self._budget)

    def shrink(self, budget_bytes: int) -> None:
        """Evict the least recently used snapshots until at most `budget_bytes` remain."""
        while self._bytes > budget_bytes and self._used:
            _, node = self._used.popitem(last=False)
            self._bytes -= array_bytes(node.recurrent or {})
            node.recurrent = None
            self._prune(node)

    def _add(self, segment: Segment, parent: _Node | None) -> _Node:
        node = _Node(segment, parent)
        self._nodes[segment.digest] = node
        if parent is not None:
            parent.children += 1
        if self._counts[segment.position] == 0:
            insort(self._positions, segment.position)
        self._counts[segment.position] += 1
        self._bytes += array_bytes(segment.arrays)
        return node

    def _prune(self, node: _Node | None) -> None:
        """Remove the node and its ancestors as far as nothing stands on them."""
        while node is not None and node.children == 0 and node.recurrent is None:
            segment = node.segment
            del self._nodes[segment.digest]
            self._counts[segment.position] -= 1
            if self._counts[segment.position] == 0:
                del self._counts[segment.position]
                self._positions.remove(segment.position)
            self._bytes -= array_bytes(segment.arrays)
            node = node.parent
            if node is not None:
                node.children -= 1
