"""Encoding text to tokens, and tokens to bytes, by the checkpoint's tokenizer.json.

A *control token* is an added token of the tokenizer (`<|im_start|>`, `<tool_call>`, ...), which structures a
conversation. `encode` never yields one, whatever the text spells, because its tokenizer does not have them;
`encode_marked` does, for text of a chat template.
"""

import json
import re
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeGuard

from tokenizers import Tokenizer as TokenizerLibrary

from mlx_model.config.lfs_pointer import pointer_error
from mlx_model.errors import CheckpointError

_NAMED_TOKENS = ("bos_token", "eos_token", "pad_token", "unk_token")


class Tokenizer:
    """A checkpoint's vocabulary. Encoding may be called from any thread."""

    def __init__(self, description: str, settings: dict[str, Any], stop_tokens: frozenset[int]) -> None:
        """`description` is the text of tokenizer.json, `settings` tokenizer_config.json.

        Raises CheckpointError when the description is not a tokenizer.
        """
        try:
            parsed = json.loads(description)
            added = parsed["added_tokens"]
            # Runs of white space are added tokens in some vocabularies; they are text, not structure.
            control = [token for token in added if token["content"].strip()]
            parsed["added_tokens"] = [token for token in added if not token["content"].strip()]
            self._control = {token["content"]: int(token["id"]) for token in control}
            self._special = frozenset(int(token["id"]) for token in control if token["special"])
            self._pattern = _control_pattern(control)
            self._decoder = json.dumps(parsed.get("decoder"))
            self._text: TokenizerLibrary = TokenizerLibrary.from_str(json.dumps(parsed))
        except Exception as error:  # the library raises bare Exception on a bad file
            raise CheckpointError(
                f"tokenizer.json is not a tokenizer that this engine can read: {error}."
            ) from error
        self._text.no_truncation()
        self._text.no_padding()
        self.named_tokens = {name: text for name in _NAMED_TOKENS if (text := _token_text(settings.get(name)))}
        eos = self._control.get(self.named_tokens.get("eos_token", ""))
        self.stop_tokens = stop_tokens | ({eos} if eos is not None else frozenset())

    @classmethod
    def from_directory(cls, directory: Path) -> "Tokenizer":
        """The tokenizer of a checkpoint, its stop tokens gathered from generation_config.json, config.json and
        tokenizer_config.json. Raises CheckpointError when tokenizer.json is missing or unreadable."""
        path = directory / "tokenizer.json"
        try:
            description = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            raise CheckpointError(
                f"{directory} has no tokenizer.json: it is not a model directory, or is incomplete."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from error
        pointer = pointer_error(path, description[:100].encode())
        if pointer is not None:
            raise CheckpointError(pointer)
        settings = read_settings(directory / "tokenizer_config.json")
        return cls(description, settings, stop_tokens(directory))

    @property
    def control_tokens(self) -> dict[str, int]:
        """The ids of the control tokens, by their text."""
        return dict(self._control)

    @property
    def special_tokens(self) -> frozenset[int]:
        """The ids of control tokens that are never part of a visible reply."""
        return self._special

    @property
    def control_pattern(self) -> re.Pattern[str]:
        """Matches the text of every control token, the longest first."""
        return self._pattern

    def encode(self, text: str) -> list[int]:
        """The tokens of text, without any control token. Unpaired surrogates, which JSON can spell and UTF-8
        cannot, become U+FFFD."""
        if not text.isascii():
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        # The library holds Python's interpreter lock while it encodes one text, but not a batch: a long text
        # would stop every reply for seconds.
        return list(self._text.encode_batch_fast([text], add_special_tokens=False)[0].ids)

    def encode_marked(self, text: str, mark: str) -> list[int]:
        """The tokens of text with control tokens, except where `mark` interrupts their spelling; marks are
        removed.

        Without marks the result is that of the complete tokenizer, because a tokenizer encodes the text between
        two added tokens by itself.
        """
        tokens: list[int] = []
        position = 0
        for match in self._pattern.finditer(text):
            tokens += self.encode(text[position : match.start()].replace(mark, ""))
            tokens.append(self._control[match[match.lastindex or 0]])
            position = match.end()
        return tokens + self.encode(text[position:].replace(mark, ""))

    def bytes_of(self, token: int) -> bytes:
        """The UTF-8 bytes of a token, perhaps part of a character; none for an id without text."""
        return self._bytes.get(token, b"")

    @cached_property
    def _bytes(self) -> dict[int, bytes]:
        table = _byte_level_bytes if '"ByteLevel"' in self._decoder else _sentencepiece_bytes
        found = {token: table(text) for text, token in self._text.get_vocab(with_added_tokens=False).items()}
        added = self._text.get_added_tokens_decoder()
        found.update({token: text.content.encode() for token, text in added.items()})
        found.update({token: text.encode() for text, token in self._control.items()})
        return found


def stop_tokens(directory: Path) -> frozenset[int]:
    """The ids of tokens that end a reply, from generation_config.json and config.json. Raises
    CheckpointError."""
    stops: set[int] = set()
    config = read_settings(directory / "config.json")
    text = config.get("text_config")
    generation = read_settings(directory / "generation_config.json")
    for settings in (generation, config, text if isinstance(text, dict) else {}):
        found = settings.get("eos_token_id")
        stops.update(token for token in (found if isinstance(found, list) else [found]) if _is_id(token))
    return frozenset(stops)


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object from an optional file of the checkpoint; empty where there is none.

    Raises CheckpointError when the file is there but is no JSON object.
    """
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path} does not hold a JSON object.")
    return settings


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _token_text(value: Any) -> str:
    """A token's text, which tokenizer_config.json writes as a string or as an object."""
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def _control_pattern(tokens: Iterable[dict[str, Any]]) -> re.Pattern[str]:
    """Matches any of the tokens, the longest first; the group that matched is its text. The match includes the
    white space before or after a token whose lstrip or rstrip is set."""
    texts: dict[tuple[bool, bool], list[str]] = {}
    for token in sorted(tokens, key=lambda token: len(token["content"]), reverse=True):
        texts.setdefault((token["lstrip"], token["rstrip"]), []).append(re.escape(token["content"]))
    # One group for all tokens of a kind: long texts are searched many times faster than with a group for each.
    alternatives = [
        (r"\s*" if left else "") + f"({'|'.join(group)})" + (r"\s*" if right else "")
        for (left, right), group in texts.items()
    ]
    # Without control tokens the pattern must match nowhere.
    return re.compile("|".join(alternatives) or r"(?!)")


def _byte_alphabet() -> dict[str, int]:
    """The characters of byte-level vocabularies and their bytes (GPT-2's `bytes_to_unicode`): printable bytes
    stand for themselves, the others are mapped to U+0100 and up, in order."""
    printing = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printing]
    return {chr(byte): byte for byte in printing} | {chr(256 + n): byte for n, byte in enumerate(others)}


_ALPHABET = _byte_alphabet()


def _byte_level_bytes(text: str) -> bytes:
    try:
        return bytes(_ALPHABET[character] for character in text)
    except KeyError:
        return text.encode()


def _sentencepiece_bytes(text: str) -> bytes:
    """Bytes of a SentencePiece-like piece: `<0xE2>` is one byte, `▁` a space."""
    if re.fullmatch(r"<0x[0-9A-F]{2}>", text):
        return bytes([int(text[3:5], 16)])
    return text.replace("\u2581", " ").encode()
