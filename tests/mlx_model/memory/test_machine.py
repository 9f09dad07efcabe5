"""What the system says of its memory, and what is given back when it is short."""

from pathlib import Path

import pytest

from mlx_model.memory.buffer_limits import buffer_limits
from mlx_model.memory.machine import GIB, MemoryGroup, Pressure, mac_pressure, resident_bytes, this_machine
from mlx_model.memory.relief import Relief, Reserve


def group(root: Path, path: str, files: dict[str, object]) -> None:
    directory = root / path
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_text(f"{content}\n")


def test_version_2_takes_the_nearest_limit_and_leaves_droppable_cache_out(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/user/app\n")
    root = tmp_path / "fs"
    stat = "anon 5\ninactive_file 600\nactive_file 7"
    group(root, "user", {"memory.max": 10_000, "memory.current": 9_500, "memory.stat": stat})
    group(root, "user/app", {"memory.max": "max", "memory.current": 10})
    found = MemoryGroup.own(root, own)
    assert found is not None and found.limit == 10_000 and found.used == 8_900
    assert found.pressure() is Pressure.NORMAL


@pytest.mark.parametrize(
    ("used", "pressure"),
    [(8_999, Pressure.NORMAL), (9_000, Pressure.WARNING), (9_600, Pressure.CRITICAL)],
)
def test_version_1_is_pressed_near_its_limit(tmp_path: Path, used: int, pressure: Pressure) -> None:
    own = tmp_path / "own"
    own.write_text("5:cpu:/\n4:memory:/job\n0::/\n")
    root = tmp_path / "fs"
    files = {
        "memory.limit_in_bytes": 10_000,
        "memory.usage_in_bytes": used + 50,
        "memory.stat": "total_inactive_file 50",
    }
    group(root, "memory/job", files)
    found = MemoryGroup.own(root, own)
    assert found is not None and found.pressure() is pressure


def test_inside_a_container_the_mounted_root_is_our_group(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/not/visible/here\n")
    group(tmp_path, "fs", {"memory.max": 4 * GIB, "memory.current": 0})
    found = MemoryGroup.own(tmp_path / "fs", own)
    assert found is not None and found.limit == 4 * GIB


def test_no_limit_is_none(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:memory:/\n")
    group(tmp_path, "fs/memory", {"memory.limit_in_bytes": 9223372036854771712})
    assert MemoryGroup.own(tmp_path / "fs", own) is None
    assert MemoryGroup.own(tmp_path / "fs", tmp_path / "nowhere") is None


def test_this_machine_is_itself() -> None:
    machine = this_machine()
    assert 0 < resident_bytes() < machine.usable <= machine.memory


@pytest.mark.parametrize(
    ("name", "raised"),
    [("Apple M1", True), ("Apple M4 Max", True), ("Apple M5 Pro", False), ("Apple M10", False), ("", False)],
)
def test_command_buffers_are_enlarged_on_the_chips_where_that_was_found_faster(name: str, raised: bool) -> None:
    assert bool(buffer_limits(name)) == raised


def test_macos_levels() -> None:
    assert [mac_pressure(level) for level in (None, 1, 2, 4)] == [
        Pressure.NORMAL,
        Pressure.NORMAL,
        Pressure.WARNING,
        Pressure.CRITICAL,
    ]


class Held:
    """Reserves that note what is taken."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.left = {"buffers": 1, "snapshots": 2, "experts": 2}

    def reserve(self, name: str, at: Pressure = Pressure.WARNING) -> Reserve:
        def release() -> int:
            if not self.left[name]:
                return 0
            self.left[name] -= 1
            self.taken.append(name)
            return 10

        return Reserve(name, release, at)

    def all(self) -> list[Reserve]:
        return [self.reserve("buffers"), self.reserve("snapshots"), self.reserve("experts", Pressure.CRITICAL)]


def test_what_can_be_spared_goes_in_order_while_pressure_lasts() -> None:
    held, level, now = Held(), [Pressure.WARNING], [0.0]
    relief = Relief(held.all(), lambda: level[0], lambda: now[0])
    for second in range(0, 6 * 60, 2):
        now[0] = float(second)
        relief.look()
        relief.look()  # at once again: nothing is looked at twice a second
        assert len(held.taken) <= 1 + second // 60, "a warning may last for hours"
    assert held.taken == ["buffers", "snapshots", "snapshots"], "a warning costs no experts"
    level[0] = Pressure.CRITICAL
    for _ in range(4):
        relief.look()
        now[0] += 1.5
    assert held.taken[3:] == ["experts", "experts"]
    assert relief.report() == {
        "pressure": "critical",
        "given_back": {"buffers": 10, "snapshots": 20, "experts": 20},
    }


def test_what_was_given_back_returns_when_memory_has_been_free_for_long() -> None:
    level, now, missing = [Pressure.CRITICAL], [0.0], [0]

    def release() -> int:
        missing[0] += 10
        return 10

    def restore() -> int:
        returned, missing[0] = missing[0], 0
        return returned

    relief = Relief([Reserve("experts", release, restore=restore)], lambda: level[0], lambda: now[0])
    # The second time it has been too soon: pressure has come again.
    for start, calm in ((0.0, 300), (1000.0, 600)):
        level[0], now[0] = Pressure.CRITICAL, start
        relief.look()
        level[0] = Pressure.NORMAL
        for passed, still_missing in ((calm - 1, 10), (calm, 0)):
            now[0] = start + passed
            relief.look()
            relief.recover()
            assert missing == [still_missing]
    assert relief.report() == {"pressure": "normal", "given_back": {}}


def test_nothing_is_given_back_at_rest() -> None:
    held = Held()
    relief = Relief(held.all(), lambda: Pressure.NORMAL)
    relief.look()
    assert held.taken == []
