"""Words and options on a command line. Pure."""

from collections.abc import Iterable, Sequence


def names(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


def has(words: Sequence[str | None], wanted: str | Iterable[str]) -> bool:
    """Whether one of `wanted` (options, or plain words; a string is divided at spaces) is among `words`: -rf
    has -r and -f, and a long option may be cut short or have a value behind "="."""
    options = wanted.split() if isinstance(wanted, str) else list(wanted)
    long = [option for option in options if option.startswith("--")]
    short = {option[1] for option in options if len(option) == 2 and option.startswith("-")}
    for word in words:
        if not word or word in options:
            if word:
                return True
            continue
        if word.startswith("--"):
            name = word.partition("=")[0]
            if len(name) > 3 and any(option.startswith(name) for option in long):
                return True
        elif word.startswith("-") and short & set(word[1:]):
            return True
    return False
