"""What is quoted does not depend on the pieces in which a text comes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from mlx_model.chat.tools.prose import Prose

PIECES = st.lists(st.text("`a\n ", max_size=6), max_size=12)


@given(PIECES)
def test_the_open_span_is_that_of_the_last_line_as_a_whole(pieces: list[str]) -> None:
    prose = Prose()
    for piece in pieces:
        prose.add(piece)
        prose = prose.copy()
    opened = 0
    for run in re.findall("`+", "".join(pieces).rpartition("\n")[2]):
        opened = len(run) if not opened else 0 if len(run) == opened else opened
    assert prose.span == opened
