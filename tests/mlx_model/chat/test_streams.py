"""Text that leaves in whole characters, and never past a stop string."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_model.chat.detokenizer import Detokenizer
from mlx_model.chat.stop_strings import StopStrings
from mlx_model.chat.tokenizer import Tokenizer
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_small_tokenizer(tmp_path_factory.mktemp("model")))


@given(st.text())
def test_text_comes_back_character_by_character(tokenizer: Tokenizer, text: str) -> None:
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.add(token) for token in tokenizer.encode(text)] + [detokenizer.finish()]
    assert "".join(pieces) == text
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(0, VOCABULARY - 1)))
def test_any_tokens_become_text(tokenizer: Tokenizer, tokens: list[int]) -> None:
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.add(token) for token in tokens] + [detokenizer.finish()]
    visible = [token for token in tokens if token not in tokenizer.special_tokens]
    assert "".join(pieces) == b"".join(map(tokenizer.bytes_of, visible)).decode(errors="replace")


@given(
    text=st.text("ab", max_size=30),
    stops=st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 30)),
)
def test_stop_strings_cut_at_the_first(text: str, stops: list[str], cuts: list[int]) -> None:
    found = min((text.find(stop) for stop in stops if stop in text), default=len(text))
    stream = StopStrings(stops)
    borders = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    shown = "".join(stream.add(text[a:b]) for a, b in pairwise(borders)) + stream.finish()
    assert stream.stopped == any(stop in text for stop in stops)
    # In pieces, the stop string that is complete first wins; it may have begun after another, longer one.
    assert text.startswith(shown)
    assert len(shown) >= found
    assert not any(stop in shown for stop in stops)
    assert StopStrings(stops).add(text) == text[:found] or not stream.stopped
