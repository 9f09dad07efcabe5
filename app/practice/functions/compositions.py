"""Functions composed from parts, each described in words: many shapes that no template spells out."""

from collections.abc import Callable

from app.practice.draw import Draw
from app.practice.functions.function import Function, is_held_out, named
from app.practice.functions.of_values import conditional, formula, stateful
from app.practice.functions.words import PLURALS, SYNONYMS, WORDS, listed

# A condition: in words, in Python (v is the value).
_CONDITIONS = {
    "above": ("greater than {K}", "{v} > {K}"),
    "below": ("less than {K}", "{v} < {K}"),
    "at-least": ("at least {K}", "{v} >= {K}"),
    "at-most": ("at most {K}", "{v} <= {K}"),
    "equal": ("equal to {K}", "{v} == {K}"),
    "other": ("other than {K}", "{v} != {K}"),
    "divisible": ("divisible by {K}", "{v} % {K} == 0"),
    "even": ("even", "{v} % 2 == 0"),
    "odd": ("odd", "{v} % 2 == 1"),
    "negative": ("negative", "{v} < 0"),
    "positive": ("positive", "{v} > 0"),
    "range": ("from {K} to {M}", "{K} <= {v} <= {M}"),
    "outside": ("below {K} or above {M}", "{v} < {K} or {v} > {M}"),
    "any": ("", ""),
}
_BARE = ("even", "odd", "negative", "positive")
_CHANGES = {
    "same": ("", "{v}"),
    "times": ("times {N}", "{v} * {N}"),
    "plus": ("plus {N}", "{v} + {N}"),
    "minus": ("minus {N}", "{v} - {N}"),
    "squared": ("squared", "{v} ** 2"),
    "opposite": ("with the sign changed", "-{v}"),
    "absolute": ("without the sign", "abs({v})"),
    "halved": ("divided by 2, rounded down", "{v} // 2"),
    "rest": ("as the rest when divided by {N}", "{v} % {N}"),
    "text": ("as text", "str({v})"),
}
# What is made of the values: words, start, step and comprehension.
_MADE = {
    "sum": ("the sum of", "0", "{t} += {e}", "sum({g})"),
    "count": ("how many there are of", "0", "{t} += 1", ""),
    "list": ("a list of", "[]", "{t}.append({e})", "[{g}]"),
    "product": ("the product of", "1", "{t} *= {e}", ""),
    "largest": ("the largest of", "", "", "max({g})"),
    "smallest": ("the smallest of", "", "", "min({g})"),
    "has": ("whether there are any of", "", "", ""),
    "first": ("the first of", "", "", ""),
    "last": ("the last of", "None", "{t} = {v}", ""),
    "sorted": ("a sorted list of", "", "", "sorted({g})"),
    "total-text": ("the text made by joining", '""', "{t} += {e}", '"".join({g})'),
}
_VERBS = {
    "sum": "sum total add",
    "count": "count number tally",
    "list": "pick keep select",
    "product": "product multiply",
    "largest": "largest best top",
    "smallest": "smallest least lowest",
    "has": "any has contains",
    "first": "first find get",
    "last": "last latest final",
    "sorted": "sorted ordered arrange",
    "total-text": "join glue write",
}
_WHOLE = ("has", "first", "last", "count")
_WORD_CONDITIONS = {
    "longer": ("with more than {K} letters", "len({w}) > {K}"),
    "shorter": ("with fewer than {K} letters", "len({w}) < {K}"),
    "up-to": ("with at most {K} letters", "len({w}) <= {K}"),
    "exactly": ("with exactly {K} letters", "len({w}) == {K}"),
    "start": ("that start with {L}", '{w}.startswith("{L}")'),
    "end": ("that end with {L}", '{w}.endswith("{L}")'),
    "with": ("that contain {L}", '"{L}" in {w}'),
    "without": ("without {L}", '"{L}" not in {w}'),
    "first": ("whose first letter is {L}", '{w}[0] == "{L}"'),
    "last": ("whose last letter is {L}", '{w}[-1] == "{L}"'),
}
_WORD_CHANGES = {
    "same": ("", "{w}"),
    "upper": ("in upper case", "{w}.upper()"),
    "length": ("counted in letters", "len({w})"),
    "reversed": ("reversed", "{w}[::-1]"),
    "cut": ("cut to the first {N} letters", "{w}[:{N}]"),
    "capital": ("with a capital", "{w}.title()"),
    "ending": ('with "{S}" at the end', '{w} + "{S}"'),
}
_SEPARATORS = (("spaces", " "), ("commas", ","), ("dashes", "-"))


def _results(draw: Draw) -> str:
    return draw.choice(SYNONYMS["result"] + SYNONYMS["total"])


def _of_numbers(draw: Draw) -> Function | None:
    condition, change = draw.choice(list(_CONDITIONS)), draw.choice([*_CHANGES, *["same"] * 4])
    made = draw.choice(list(_MADE))
    if made in _WHOLE:
        change = "same"
        condition = "above" if condition == "any" else condition
    if (made == "total-text") != (change == "text"):
        return None
    values, value = draw.choice(PLURALS)
    result = _results(draw)
    if len({values, value, result}) < 3:
        return None
    low = draw.integer(2, 9)
    parts = {"K": low, "M": low + draw.integer(3, 9), "N": draw.integer(2, 9), "v": value}
    in_words, test = (text.format(**parts) for text in _CONDITIONS[condition])
    changed_words, changed = (text.format(**parts) for text in _CHANGES[change])
    made_words, start, step, comprehension = _MADE[made]
    noun = f"the {in_words} {values}" if condition in _BARE else f"the {values}"
    if in_words and condition not in _BARE:
        noun += f" that are {in_words}"
    doc = f"{draw.choice(('Return', 'Compute', 'Give back'))} {made_words} {noun}"
    doc += (f", each {changed_words}" if changed_words else "") + (
        ", or None" if made in ("first", "last") else ""
    )
    if made == "has":
        body = [f"for {value} in {values}:", f"    if {test}:", "        return True", "return False"]
    elif made == "first":
        body = [f"for {value} in {values}:", f"    if {test}:", f"        return {value}", "return None"]
    elif comprehension and (not start or draw.chance(0.4)):
        inner = f"{changed} for {value} in {values}" + (f" if {test}" if test else "")
        if made in ("largest", "smallest") and draw.chance(0.5):
            inner = f"[{inner}]"
        whole = comprehension.format(g=inner)
        body = [f"return {whole}"] if draw.chance(0.6) else [f"{result} = {whole}", f"return {result}"]
    else:
        stepped = step.format(t=result, e=changed, v=value)
        body = [f"{result} = {start}", f"for {value} in {values}:"]
        body += [f"    if {test}:", f"        {stepped}"] if test else [f"    {stepped}"]
        body.append(f"return {result}")
    other = draw.choice((values, condition.replace("-", "_"), "matching", "wanted", value))
    name = draw.choice(_VERBS[made].split()) + "_" + other
    at_least_one = {
        "even": 4,
        "odd": 5,
        "negative": -4,
        "equal": low,
        "divisible": low,
        "below": low - 1,
        "at-most": low - 1,
    }
    sure = at_least_one.get(condition, low + 1 if condition != "outside" else low - 1)
    call = f"F([{{near {low}}}, {{near {parts['M']}}}, {{int -9 20}}, {sure}, {{near {low}}}])"
    return _made(f"numbers {condition} {change} {made}", name, doc, values, body, call)


def _of_words(draw: Draw) -> Function | None:
    condition, change = draw.choice(list(_WORD_CONDITIONS)), draw.choice([*_WORD_CHANGES, "same", "same"])
    made = draw.choice(("list", "count", "join", "first", "lengths"))
    if made in ("count", "first", "lengths"):
        change = "same"
    elif made == "join" and change == "length":
        change = "upper"
    words = draw.choice(listed("words names titles labels parts"))
    word, result = draw.choice(listed("word name text part w")), _results(draw)
    if len({words, word, result}) < 3:
        return None
    size, letter = draw.integer(3, 6), draw.choice("aeltsrbg")
    parts = {"K": size, "L": letter, "w": word, "N": draw.integer(1, 3), "S": draw.choice("!?.s")}
    in_words, test = (text.format(**parts) for text in _WORD_CONDITIONS[condition])
    changed_words, changed = (text.format(**parts) for text in _WORD_CHANGES[change])
    separator_words, separator = draw.choice(_SEPARATORS)
    begins = {
        "list": "Return a list of",
        "count": "Count",
        "join": f"Join with {separator_words}",
        "first": "Return the first of",
        "lengths": "Return the sum of the lengths of",
    }
    doc = f"{begins[made]} the {words} {in_words}"
    doc += (f", {changed_words}" if changed_words else "") + (", or None" if made == "first" else "")
    head = [f"for {word} in {words}:", f"    if {test}:"]
    if made == "list" and draw.chance(0.5):
        body = [f"return [{changed} for {word} in {words} if {test}]"]
    elif made == "list":
        body = [f"{result} = []", *head, f"        {result}.append({changed})", f"return {result}"]
    elif made == "join":
        body = [
            f"{result} = [{changed} for {word} in {words} if {test}]",
            f'return "{separator}".join({result})',
        ]
    elif made == "first":
        body = [*head, f"        return {word}", "return None"]
    else:
        step = "1" if made == "count" else f"len({word})"
        body = [f"{result} = 0", *head, f"        {result} += {step}", f"return {result}"]
    verbs = {
        "list": "pick keep",
        "count": "count tally",
        "join": "join glue",
        "first": "first find",
        "lengths": "letters",
    }
    name = draw.choice(verbs[made].split()) + "_" + draw.choice((words, "matching", "wanted", "short", "some"))
    near = "abcdefgh"
    fitting = [letter + "oo", "oo" + letter, near[: size - 1], near[:size], near[: size + 1]]
    chosen = draw.sample([*fitting, "x" * size, draw.choice(WORDS)], 4)
    other = draw.sample([*fitting, "bag", "tail", draw.choice(WORDS)], 4)
    return _made(
        f"words {condition} {change} {made}", name, doc, words, body, f"F({chosen!r})", f"F({other!r})"
    )


def _of_records(draw: Draw) -> Function | None:
    fields = draw.sample(listed("price weight size points age rate cost level count hours"), 2)
    low = draw.integer(3, 9)
    condition = draw.choice(("above", "below", "at-least", "at-most", "equal", "other"))
    made = draw.choice(("sum", "list", "count", "first", "raise", "names"))
    rows = draw.choice((*SYNONYMS["rows"], "items", "orders", "players"))
    row, result = draw.choice((*SYNONYMS["row"], "item", "one")), _results(draw)
    if len({rows, row, result}) < 3:
        return None
    in_words, test = (text.format(K=low, v=f'{row}["{fields[0]}"]') for text in _CONDITIONS[condition])
    which = f"the {rows} whose {fields[0]} is {in_words}"
    head = [f"for {row} in {rows}:", f"    if {test}:"]
    if made == "sum":
        doc = f"Return the sum of the {fields[1]} of {which}"
        body = [f"{result} = 0", *head, f'        {result} += {row}["{fields[1]}"]', f"return {result}"]
    elif made == "count":
        doc = f"Count {which}"
        body = [f"{result} = 0", *head, f"        {result} += 1", f"return {result}"]
    elif made == "first":
        doc = f"Return the {fields[1]} of the first of {which}, or None"
        body = [*head, f'        return {row}["{fields[1]}"]', "return None"]
    elif made == "raise":
        step = draw.integer(2, 9)
        doc = f"Add {step} to the {fields[1]} of {which}, and return all"
        body = [*head, f'        {row}["{fields[1]}"] += {step}', f"return {rows}"]
    elif draw.chance(0.5):
        field = "name" if made == "names" else fields[1]
        doc = f"Return the {field} of each of {which}"
        body = [f'return [{row}["{field}"] for {row} in {rows} if {test}]']
    else:
        field = "name" if made == "names" else fields[1]
        doc = f"Return the {field} of each of {which}"
        body = [f"{result} = []", *head, f'        {result}.append({row}["{field}"])', f"return {result}"]
    name = draw.choice(listed("select report collect choose sum_up rows_with")) + "_" + fields[1]
    of_name = " name:word" if made == "names" else ""
    call = f"F({{records {fields[0]}:near-{low} {fields[1]}{of_name}}})"
    return _made(f"records {condition} {made}", name, doc, rows, body, call)


def _made(template: str, name: str, doc: str, parameters: str, body: list[str], *calls: str) -> Function | None:
    """The function put together; None where a name is used twice or a line is too long."""
    lines = (f"def F({parameters}):", f'    """{doc}."""', *(f"    {line}" for line in body))
    if name in parameters.split(", ") or max(map(len, lines)) > 110:
        return None
    return named(Function(template, "F", lines, calls), name)


_MAKERS: dict[Callable[[Draw], Function | None], float] = {
    _of_numbers: 4,
    _of_words: 2,
    _of_records: 2,
    formula: 2,
    conditional: 2,
    stateful: 1,
}


def composed(draw: Draw, held_out: bool) -> Function:
    """A composed function, of those that training never sees or of the others."""
    while True:
        function = draw.weighted(_MAKERS)(draw)
        if function is not None and is_held_out(function.template) == held_out:
            return function
