"""Decoding tokens to text as they arrive."""

import codecs

from mlx_model.chat.tokenizer import Tokenizer


class Detokenizer:
    """The text of one reply, token by token, in whole characters.

    Bytes wait until their character is complete. Bytes that are not UTF-8, and a character that is incomplete
    at the end of the reply, become U+FFFD. Special tokens have no text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """The text that this token completes, perhaps none."""
        if token in self._tokenizer.special_tokens:
            return ""
        return self._decoder.decode(self._tokenizer.bytes_of(token))

    def finish(self) -> str:
        """The rest of the text, at the end of the reply."""
        return self._decoder.decode(b"", final=True)
