"""The curve of doubt counts what it says it counts."""

from mlx_model.bench.doubt.curve import WrittenLine, deciles, separation, thresholds
from mlx_model.bench.doubt.measure import Case, Written, judged


def line(probability: float, is_right: bool) -> WrittenLine:
    return WrittenLine(is_right, probability, probability, 1.0, 1.0)


def test_deciles_thresholds_and_separation() -> None:
    lines = [line(n / 20, n >= 4) for n in range(20)]
    score = lambda one: one.probability  # noqa: E731
    assert [(one.lines, one.wrong) for one in deciles(lines, score)] == [(2, 2), (2, 2)] + [(2, 0)] * 8
    assert separation(lines, score) == 1.0
    assert separation([line(0.5, True), line(0.5, False)], score) == 0.5
    (found,) = thresholds(lines, score, [0.4])
    assert (found.tinted, found.precision, found.recall) == (8 / 20, 0.5, 1.0)


def test_a_changed_line_is_judged_with_the_doubt_of_its_own_tokens() -> None:
    case = Case((), "def f():\n    a = 1\n    b = 2\n    c\n", "def f():\n    a = 1\n    b = 5\n    d\n    c\n")
    parts = [
        ("So.\n\n<tool_call>\n<function=edit>\n", 0.9),
        ("<parameter=old_string>\n", 1.0),
        ("    b = 2", 0.8),
        ("\n</parameter>\n<parameter=new_string>\n", 1.0),
        ("    b = ", 0.7),
        ("3", 0.6),
        ("\n    ", 0.5),
        ("d", 0.95),
        ("\n</parameter>\n</function>\n</tool_call>", 0.99),
    ]
    found = judged(case, [Written(text, chance, chance) for text, chance in parts])
    assert found is not None
    is_right, lines = found
    assert not is_right
    assert [(one.is_right, one.probability, one.place, one.said) for one in lines] == [
        (False, 0.5, 0.8, 0.9),
        (True, 0.5, 0.8, 0.9),
    ]
