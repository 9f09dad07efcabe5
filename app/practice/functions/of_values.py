"""Composed functions over single values: formulas, decisions, and classes that keep a number."""

from app.practice.draw import Draw
from app.practice.functions.function import Function, named
from app.practice.functions.words import listed

_QUANTITIES = listed("""
    width height depth price rate hours speed time distance length weight count bonus fee extra base level score
    lives coins steps days rooms seats rows
""")
_OPERATORS = {"+": "plus", "-": "minus", "*": "times"}
_COMPARISONS = {
    ">": "is greater than",
    "<": "is less than",
    ">=": "is at least",
    "<=": "is at most",
    "==": "equals",
    "!=": "differs from",
}
_ANSWERS = tuple(
    (pair.partition(":")[0], pair.partition(":")[2])
    for pair in listed(
        "high:low yes:no big:small pass:fail open:closed hot:cold win:lose free:paid fast:slow new:old"
    )
)
_KEPT = listed("points coins lives steps energy level speed water battery")
_EVENTS = (("add", "grow", "gain", "raise_by"), ("take", "spend", "lose", "lower_by"))


def formula(draw: Draw) -> Function | None:
    """Two or three quantities and perhaps a constant, put together in the order they are told."""
    names = draw.sample(_QUANTITIES, draw.choice((2, 2, 3, 3)))
    terms, told = list(names), [f"the {name}" for name in names]
    if draw.chance(0.5):
        place, constant = draw.integer(0, len(terms)), draw.integer(2, 60)
        terms.insert(place, str(constant))
        told.insert(place, str(constant))
    operators = [draw.choice(("+", "-", "*", "+")) for _ in terms[1:]]
    # What is told from left to right is computed so: products come first.
    operators.sort(key=lambda operator: operator != "*")
    doc = f"Return {told[0]}" + "".join(
        f" {_OPERATORS[operator]} {word}" for operator, word in zip(operators, told[1:], strict=True)
    )
    pieces = list(zip(operators, terms[1:], strict=True))
    whole = terms[0] + "".join(f" {operator} {term}" for operator, term in pieces)
    result = draw.choice(("result", "answer", "total", "value", "out"))
    style = draw.integer(0, 2)
    if style == 0 or len(pieces) < 2:
        body = [f"return {whole}"]
    elif style == 1:
        body = [f"{result} = {whole}", f"return {result}"]
    else:
        first, *rest = pieces
        body = [f"{result} = {terms[0]} {first[0]} {first[1]}"]
        body.append(f"return {result}" + "".join(f" {operator} {term}" for operator, term in rest))
    name = draw.choice(listed("compute get find total work_out full final net make"))
    name += "_" + draw.choice(listed("cost amount value points size sum number result"))
    lines = (f"def F({', '.join(names)}):", f'    """{doc}."""', *(f"    {line}" for line in body))
    constant_at = "".join("k" if term.isdigit() else "v" for term in terms)
    made = Function(
        f"formula {''.join(operators)} {constant_at} {style}",
        "F",
        lines,
        ("F(" + ", ".join(["{int 1 20}"] * len(names)) + ")",),
    )
    return named(made, name)


def conditional(draw: Draw) -> Function | None:
    """One of two or three answers, by one or two comparisons."""
    first, second = draw.sample(_QUANTITIES, 2)
    sign, limit = draw.choice(list(_COMPARISONS)), draw.integer(3, 90)
    form = draw.choice(("constant", "two", "and", "or", "chain", "number", "flag"))
    yes, no = draw.choice(_ANSWERS)
    template = f"decision {form} {sign}"
    parameters, told = first, f"the {first} {_COMPARISONS[sign]} {limit}"
    test, call = f"{first} {sign} {limit}", f"F({{near {limit}}})"
    if form == "two":
        parameters, told = f"{first}, {second}", f"the {first} {_COMPARISONS[sign]} the {second}"
        test, call = f"{first} {sign} {second}", "F({int 3 6}, {int 3 6})"
    elif form in ("and", "or"):
        other, other_limit = draw.choice(list(_COMPARISONS)), draw.integer(3, 90)
        parameters, told = (
            f"{first}, {second}",
            f"{told} {form} the {second} {_COMPARISONS[other]} {other_limit}",
        )
        test = f"{test} {form} {second} {other} {other_limit}"
        call = f"F({{near {limit}}}, {{near {other_limit}}})"
        template += f" {other}"
    doc = f"Return {yes} if {told}, otherwise {no}"
    body = [f"if {test}:", f'    return "{yes}"', f'return "{no}"']
    if form == "number":
        high, low = draw.integer(10, 50), draw.integer(0, 9)
        doc = f"Return {high} if {told}, otherwise {low}"
        body = [f"if {test}:", f"    return {high}", f"return {low}"]
    elif form == "flag":
        doc, body = f"Tell whether {told}", [f"return {test}"]
    elif form == "chain":
        upper = limit + draw.integer(5, 30)
        answers = draw.sample([answer for pair in _ANSWERS for answer in pair], 3)
        rising = sign in ("<", "<=", "==")
        template = f"decision chain {rising}"
        if rising:
            doc = f"Return {answers[0]} below {limit}, {answers[1]} below {upper}, and {answers[2]} otherwise"
            body = [f"if {first} < {limit}:", f'    return "{answers[0]}"', f"if {first} < {upper}:"]
        else:
            doc = f"Return {answers[0]} from {upper}, {answers[1]} from {limit}, and {answers[2]} below that"
            body = [f"if {first} >= {upper}:", f'    return "{answers[0]}"', f"if {first} >= {limit}:"]
        body += [f'    return "{answers[1]}"', f'return "{answers[2]}"']
        call = f"F({{near {draw.choice((limit, upper))}}})"
    elif draw.chance(0.3):
        body = [*body[:2], "else:", f"    {body[2]}"]
    name = draw.choice(listed("check judge classify state kind status choose decide"))
    name += "_" + draw.choice((first, "it", "now"))
    lines = (f"def F({parameters}):", f'    """{doc}."""', *(f"    {line}" for line in body))
    calls: tuple[str, ...] = (call,)
    if form == "chain":
        calls = (f"F({{near {limit}}})", f"F({{near {limit + 15}}})", call)
    return named(Function(template, "F", lines, calls), name)


def stateful(draw: Draw) -> Function | None:
    """A class that keeps one number, with a method that raises it, one that lowers it, and one that asks."""
    kept, (more, less) = draw.choice(_KEPT), (draw.choice(names) for names in _EVENTS)
    start, step = draw.integer(5, 40), draw.integer(2, 6)
    sign = draw.choice((">", "<", ">=", "<="))
    limit = start + draw.integer(-4, 4)
    fixed_start, takes_amount, asks = draw.chance(0.5), draw.chance(0.5), draw.choice(("flag", "left", "text"))
    template = f"state {fixed_start} {takes_amount} {asks} {sign if asks == 'flag' else ''}"
    begin = f"starts at {start}" if fixed_start else "starts where it is told"
    how = "by what is given" if takes_amount else f"by {step}"
    amount, parameter = ("amount", ", amount") if takes_amount else (str(step), "")
    if asks == "flag":
        question, answer = f"ready if it {_COMPARISONS[sign]} {limit}", f"return self.{kept} {sign} {limit}"
    elif asks == "left":
        question, answer = (
            f"ready gives how many are left to {limit + 40}",
            f"return {limit + 40} - self.{kept}",
        )
    else:
        question, answer = f"ready gives {kept} and the number", f'return "{kept} " + str(self.{kept})'
    lines = (
        "class F:",
        f'    """The {kept} {begin}; {more} raises and {less} lowers it {how}; {question}."""',
        "",
        "    def __init__(self):" if fixed_start else f"    def __init__(self, {kept}):",
        f"        self.{kept} = {start if fixed_start else kept}",
        "",
        f"    def {more}(self{parameter}):",
        f"        self.{kept} += {amount}",
        "",
        f"    def {less}(self{parameter}):",
        f"        self.{kept} -= {amount}",
        "",
        "    def ready(self):",
        f"        {answer}",
    )
    given = "{int 1 6}" if takes_amount else ""
    new = "F()" if fixed_start else f"F({{near {start}}})"
    calls = (
        f"a = {new}; a.{more}({given}); a.{kept}",
        f"a = {new}; a.{less}({given}); a.{kept}",
        f"a = {new}; a.{more}({given}); a.ready()",
        f"a = {new}; a.{less}({given}); a.ready()",
    )
    name = draw.choice(listed("Player Robot Engine Garden Rocket Meter Hero Tank"))
    if max(map(len, lines)) > 110:
        return None
    return named(Function(template, "F", lines, calls), name)
