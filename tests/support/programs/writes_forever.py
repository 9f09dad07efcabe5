"""Run as a process of its own: saves one snapshot after another until it is killed.

Arguments: the folder, and the number of the first conversation.
"""

import itertools
import sys
from pathlib import Path

from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.token_states import TokenSource

FLOATS = 40_000
TURNS = 6


def conversation(number: int) -> tuple[int, ...]:
    """Distinct conversations that share their first 50 tokens."""
    return (*range(50), *(1000 + number + turn for turn in range(10 * TURNS)))


def main() -> None:
    tier = DiskTier(Path(sys.argv[1]), "model", {"model": "test"}, DiskLimits(cap=8_000_000, reserve=0))
    store = PrefixStore(1 << 30, tier)
    print("ready", flush=True)
    for number in itertools.count(int(sys.argv[2])):
        tokens = conversation(number % 40)
        for turn in range(TURNS + 1):
            prefix = tokens[: 50 + 10 * turn]
            store.store(prefix, TokenSource(prefix, FLOATS))
        tier.flush()


if __name__ == "__main__":
    main()
