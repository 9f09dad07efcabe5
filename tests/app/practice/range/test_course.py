"""How far a task has come, by what happens in any order."""

from hypothesis import given
from hypothesis import strategies as st

from app.practice.range.course import Course
from app.practice.range.judging import TestRun, Verdict

RIGHT = Verdict(TestRun(0, "Ran 1 test"), TestRun(0, "Ran 1 test"), (), (), ())


def test_from_the_failing_test_to_the_verdict_and_back() -> None:
    course = Course().turn_began()
    assert course.stage == "working"
    course = course.counted(0, 2)
    assert course.stage == "working", "hunks may be counted while the turn still runs"
    course = course.turn_ended()
    assert course.stage == "reviewing"
    course = course.counted(1, 2)
    assert course.stage == "reviewing"
    course = course.counted(2, 2)
    assert course.stage == "judging"
    course = course.judged(RIGHT)
    assert (course.stage, course.verdict) == ("judged", RIGHT)
    assert course.counted(0, 0).stage == "judged", "committed, and judged already"
    assert course.files_changed().stage == "judging", "kept became rejected, with no other count"
    assert course.counted(1, 2).stage == "reviewing"
    assert course.counted(1, 2).judged(RIGHT).stage == "reviewing", "a verdict that came too late"


def test_a_turn_without_changes_asks_for_other_words() -> None:
    assert Course().turn_began().turn_ended().stage == "unchanged"
    assert Course().turn_began().counted(0, 1).counted(0, 0).turn_ended().stage == "unchanged"


def test_what_was_committed_with_hunks_left_open_is_judged() -> None:
    course = Course().turn_began().counted(0, 2).turn_ended().counted(1, 2).counted(0, 0)
    assert course.stage == "judging"


@given(
    st.lists(
        st.sampled_from(["began", "ended", "files", "judged"])
        | st.tuples(st.integers(0, 2), st.integers(0, 2)).filter(lambda pair: pair[0] <= pair[1])
    )
)
def test_there_is_a_verdict_exactly_where_one_is_shown(steps: list[str | tuple[int, int]]) -> None:
    course = Course()
    for step in steps:
        match step:
            case "began":
                course = course.turn_began()
            case "ended":
                course = course.turn_ended()
            case "files":
                course = course.files_changed()
            case "judged":
                course = course.judged(RIGHT)
            case (decided, total):
                course = course.counted(decided, total)
        assert (course.verdict is not None) == (course.stage == "judged")
