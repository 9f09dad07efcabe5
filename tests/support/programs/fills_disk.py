"""Run as a process of its own on a disk of 50 MB: saves 100 MB of snapshots beside 20 MB of someone else's.

Arguments: the disk, and whether its free space is `known` or `misreported` as endless, so that the writes
themselves fail. Prints what could be found afterwards as JSON.
"""

import json
import logging
import shutil
import sys
from collections import namedtuple
from pathlib import Path

from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.token_states import TokenSource, assert_is_state_of

FLOATS = 125_000
COUNT = 100


class Counting(logging.Handler):
    """Counts lines."""

    lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += 1
        print(record.getMessage(), file=sys.stderr)


def main() -> None:
    disk = Path(sys.argv[1])
    counting = Counting()
    logging.getLogger().addHandler(counting)
    (disk / "other").write_bytes(bytes(20_000_000))
    if sys.argv[2] == "misreported":
        usage = namedtuple("usage", "total used free")
        shutil.disk_usage = lambda path: usage(1 << 60, 0, 1 << 60)  # type: ignore[return-value]  # noqa: ARG005

    def tier() -> DiskTier:
        return DiskTier(disk / "snapshots", "model", {}, DiskLimits(reserve=0))

    first = tier()
    store = PrefixStore(1 << 30, first)
    for number in range(COUNT):
        store.store((number, 1, 2), TokenSource((number, 1, 2), FLOATS))
        first.flush()
    store.close()
    again = PrefixStore(1 << 30, tier())
    right = wrong = 0
    for number in range(COUNT):
        found = again.lookup((number, 1, 2, 3))
        if found is not None:
            try:
                assert_is_state_of(found, (number, 1, 2), FLOATS)
                right += 1
            except AssertionError:
                wrong += 1
    again.close()
    partials = len(list(disk.glob("snapshots/*/.*")))
    print(json.dumps({"right": right, "wrong": wrong, "log_lines": counting.lines, "partials": partials}))


if __name__ == "__main__":
    main()
