"""A small byte-level BPE tokenizer with Qwen's control tokens, from transcripts."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
STRUCTURE = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's own tokenizers part a text before merging: words, single digits, runs of signs and of spaces."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of `vocabulary` entries, control tokens included and last."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL) - len(STRUCTURE),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=[],
    )
    tokenizer.train_from_iterator(_between_control_tokens(texts), trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in STRUCTURE])
    return tokenizer


def write_tokenizer(texts: Iterable[str], vocabulary: int, directory: Path) -> None:
    """Trains one and writes it as `directory`/tokenizer.json."""
    directory.mkdir(parents=True, exist_ok=True)
    train_tokenizer(texts, vocabulary).save(str(directory / "tokenizer.json"))


def _between_control_tokens(texts: Iterable[str]) -> Iterator[str]:
    pattern = re.compile("|".join(map(re.escape, (*SPECIAL, *STRUCTURE))))
    for text in texts:
        yield from filter(None, pattern.split(text))
