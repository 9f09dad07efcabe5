"""Putting the new text where the old one was found, keeping what of the file was not meant to change."""

from collections.abc import Sequence

from app.agent.editing.match import Match
from app.workspace.files.line_endings import in_common, line_blocks


def replacement_at(text: str, place: Match) -> str:
    """What comes in place of text[place.start:place.end].

    Where the quotation was read leniently, the model's spelling of what it did not change is a mistake too: so
    unchanged lines stay as the file has them, and so do the unchanged ends of a changed line.
    """
    found = text[place.start : place.end]
    if found == place.old:
        return place.new
    old, new, real = (part.split("\n") for part in (place.old, place.new, found))
    if len(old) != len(real):
        return place.new
    spelling = _spelling(old, real)
    # A line that was quoted with spaces behind it is written with them elsewhere by the same mistake.
    bare = {
        line: is_there for line, is_there in zip(old, real, strict=True) if line.rstrip() == is_there != line
    }
    result: list[str] = []
    for same, a, b, c, d in line_blocks(*(_keys(lines, place) for lines in (old, new))):
        if same:
            result += real[a:b]
        elif b - a == d - c:
            result += [
                bare[line] if (line := new[c + i]) in bare else _line(old[a + i], line, real[a + i], spelling)
                for i in range(b - a)
            ]
        else:
            result += [bare.get(line, line).translate(spelling) for line in new[c:d]]
    return "\n".join(result)


def _keys(lines: list[str], place: Match) -> list[str]:
    """The lines as they are compared: where the quotation erred in trailing space, without it."""
    return [line.rstrip() for line in lines] if place.rung in ("trailing space", "indentation") else lines


def _spelling(old: Sequence[str], real: Sequence[str]) -> dict[int, str]:
    """Typographic characters that the model wrote where the file has a plain one, each with that plain one."""
    table: dict[int, str] = {}
    for quoted, line in zip(old, real, strict=True):
        if len(quoted.rstrip()) == len(line.rstrip()):
            for written, is_there in zip(quoted, line, strict=False):
                if written != is_there and not written.isascii() and is_there.isascii():
                    table[ord(written)] = is_there
    return table


def _line(old: str, new: str, real: str, spelling: dict[int, str]) -> str:
    before, after, kept = old.rstrip(), new.rstrip(), real.rstrip()
    if len(before) != len(kept):
        return new.translate(spelling)
    head = in_common(before, after)
    tail = in_common(before[head:][::-1], after[head:][::-1])
    end = len(after) - tail
    return kept[:head] + after[head:end].translate(spelling) + kept[len(kept) - tail :] + new[len(after) :]
