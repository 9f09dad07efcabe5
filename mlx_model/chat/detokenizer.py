"""Tokens to text while they arrive."""

import codecs

from mlx_model.chat.tokenizer import Tokenizer


class Detokenizer:
    """The text of one reply, token by token, in whole characters.

    Bytes wait until their character is complete; bytes that no character can begin or continue with become
    U+FFFD, and so does a character that the reply's end leaves unfinished. Special tokens have no text.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, token: int) -> str:
        """The text that this token completes, which may be none."""
        if token in self._tokenizer.special_tokens:
            return ""
        return self._decoder.decode(self._tokenizer.bytes_of(token))

    def finish(self) -> str:
        """What is left at the end."""
        return self._decoder.decode(b"", final=True)
