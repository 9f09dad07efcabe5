"""When training by night may run, what the machine says, and what becomes of its result."""

from dataclasses import replace
from datetime import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.tuning.night.conditions import Facts, Hours, Rules, reason_to_wait
from app.tuning.night.machine import idle_of_ioreg, power_of_linux, power_of_pmset

RULES = Rules(Hours.parse("22:00-06:00"))
GOOD = Facts(time(2, 30), on_power=True, idle_seconds=3600, fresh=40)


def test_it_runs_only_at_night_on_power_when_nobody_is_there_and_there_is_something_to_learn() -> None:
    assert reason_to_wait(GOOD, RULES) == ""
    for change, said in (
        ({"on_power": False}, "battery"),
        ({"on_power": None}, "cannot be told"),
        ({"now": time(12, 0)}, "22:00 to 06:00"),
        ({"idle_seconds": 300.0}, "5 minutes ago"),
        ({"idle_seconds": None}, "cannot be told"),
        ({"fresh": 3}, "3 new decisions"),
        ({"is_engine_loaded": True}, "engine"),
    ):
        assert said in reason_to_wait(replace(GOOD, **change), RULES)  # type: ignore[arg-type]
    # What is under way goes on without new decisions, but not on the battery.
    assert reason_to_wait(replace(GOOD, fresh=0, is_engine_loaded=True), RULES, has_begun=True) == ""
    assert "battery" in reason_to_wait(replace(GOOD, on_power=False), RULES, has_begun=True)


@given(st.times(), st.times(), st.times())
def test_hours_and_their_complement_share_the_day(start: time, end: time, now: time) -> None:
    if start != end:
        assert Hours(start, end).holds(now) is not Hours(end, start).holds(now)
    else:
        assert Hours(start, end).holds(now)


@pytest.mark.parametrize("text", ["", "22-6", "25:00-06:00", "22:00-06:60", "22:00"])
def test_what_is_no_span_of_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Hours.parse(text)


def test_what_macos_says_is_read() -> None:
    battery = (
        "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4522083)\t85%; discharging; 4:21 remaining"
    )
    assert power_of_pmset("Now drawing from 'AC Power'\n -InternalBattery-0\t100%; charged;") is True
    assert power_of_pmset(battery) is False
    assert power_of_pmset("") is None
    assert idle_of_ioreg('  | |   "HIDIdleTime" = 1234567890123\n') == pytest.approx(1234.567890123)
    assert idle_of_ioreg("") is None


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({}, True),
        ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery", "status": "Charging"}}, True),
        ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Unknown"}}, None),
        # A mouse's battery says nothing of the machine.
        ({"hid-1": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, True),
    ],
)
def test_what_linux_says_is_read(
    supplies: dict[str, dict[str, str]], expected: bool | None, tmp_path: Path
) -> None:
    for name, facts in supplies.items():
        (tmp_path / name).mkdir()
        for fact, value in facts.items():
            (tmp_path / name / fact).write_text(f"{value}\n")
    assert power_of_linux(tmp_path) is expected
    assert power_of_linux(tmp_path / "nowhere") is None
