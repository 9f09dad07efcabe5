"""Which eight-bit or East Asian encoding a text is in that is no UTF: by detection, never by default.

The detection is charset-normalizer's, among the encodings that source files are found in. It is unsure of texts
with few characters beyond ASCII, for which two signs are stronger: single accented letters between ASCII are
Western European, and two full-width kana in a row are Shift-JIS.
"""

import re

_SAMPLE_BYTES = 16 << 10
"""Of lines with bytes beyond ASCII; more would take longer and change nothing."""
_WESTERN = "cp1252"
_JAPANESE = "cp932"
_SEARCHED = ("gb18030", _JAPANESE, "euc_jp", "euc_kr", "big5", "cp1251", "koi8_r", _WESTERN)
_HIGH = re.compile(rb"[\x80-\xff]+")
_HIGH_LINE = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")
_KANA = re.compile("[\u3041-\u3096\u30a1-\u30fa][\u3041-\u3096\u30a1-\u30fc]")
_EUC_PAIRS = re.compile(rb"(?:[\xa1-\xfe]{2})+")
_QUOTED = re.compile(rb"\x93([^\x80-\x9f\n]*)\x94|\x91([^\x80-\x9f\n]*)\x92")  # cp1252's curly quotes


def detected_encoding(data: bytes) -> str | None:
    """The encoding of `data`, which is no UTF, by its name in Python; None where it cannot be told."""
    if (japanese := _text(data, _JAPANESE)) is not None and _KANA.search(japanese):
        return _JAPANESE
    sample = _sample(data)
    runs = _HIGH.findall(_QUOTED.sub(rb"\1\2", sample))
    if sum(len(run) == 1 for run in runs) * 2 >= sum(map(len, runs)):
        return _WESTERN if _text(data, _WESTERN) is not None else None
    from charset_normalizer import from_bytes  # noqa: PLC0415  it takes a while, and few files need it

    impossible = _impossible(runs)
    searched = [encoding for encoding in _SEARCHED if encoding not in impossible]
    found = from_bytes(sample, cp_isolation=searched).best()
    if found is None or _text(data, found.encoding) is None:
        return None
    return found.encoding


def _sample(data: bytes) -> bytes:
    """The first lines with bytes beyond ASCII; of a long one its beginning, up to a whole character."""
    sample = b""
    for line in _HIGH_LINE.finditer(data):
        sample += line.group()
        if len(sample) > _SAMPLE_BYTES:
            return sample[:_SAMPLE_BYTES].rstrip(bytes(range(0x80, 0x100)))
    return sample


def _impossible(runs: list[bytes]) -> set[str]:
    """Encodings that the rows of the characters speak against, where all are pairs as in the EUC encodings:
    in Big5 every third character has a trailing byte that is ASCII, Japanese has kana (rows 4 and 5), and
    Korean has no syllables behind row 40."""
    if not all(_EUC_PAIRS.fullmatch(run) for run in runs):
        return set()
    rows = {byte - 0xA0 for run in runs for byte in run[::2]}
    has_kana, is_korean = bool(rows & {4, 5}), max(rows) <= 40
    return {"big5"} | (set() if has_kana else {"euc_jp"}) | (set() if is_korean else {"euc_kr"})


def _text(data: bytes, encoding: str) -> str | None:
    """`data` decoded, None where it does not decode and encode to the same again."""
    try:
        text = data.decode(encoding)
        return text if text.encode(encoding) == data else None
    except UnicodeError:
        return None
