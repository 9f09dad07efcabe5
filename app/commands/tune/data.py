"""`tidegate tune data`: every example from the review, shown and struck out."""

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any

from app.commands.options import BadUsage, Parser
from app.settings.settings import load_settings
from app.terminal_output import clean
from app.tuning.collecting import collect_all
from app.tuning.example_file import KeptExample, example_files, strike

_OFF = (
    "Nothing is collected: learn_from_review is false in the settings. With true, what you decide in the "
    "review becomes examples that stay on this machine."
)


def parser() -> Parser:
    """The options that it takes."""
    made = Parser(
        prog="tidegate tune data",
        allow_abbrev=False,
        description="The examples that training from your review uses. They stay on this machine.",
    )
    made.add_argument("ids", nargs="*", metavar="ID", help="show these in full (default: list all)")
    what = made.add_mutually_exclusive_group()
    what.add_argument("--strike", action="store_true", help="strike them out: no training uses them")
    what.add_argument("--restore", action="store_true", help="take struck ones in again")
    made.add_argument("--json", action="store_true", help="print the examples as JSON lines")
    return made


def run(given: list[str]) -> int:
    """Collect what is new, then list, show or strike out."""
    options = parser().parse_args(given)
    wants = load_settings().learn_from_review
    if wants:
        collect_all()
    if options.strike or options.restore:
        if not options.ids:
            raise BadUsage("no example is named", "tidegate tune data lists them")
        strike(options.ids, struck=options.strike)
        print(f"{len(options.ids)} {'struck out' if options.strike else 'taken in again'}.")
        return 0
    found = [example for file in example_files() for example in file.read()]
    chosen = [example for example in found if not options.ids or example.id in options.ids]
    missing = set(options.ids) - {example.id for example in found}
    if missing:
        raise BadUsage(f"there is no example {min(missing)}", "tidegate tune data lists them")
    if options.json:
        for example in chosen:
            print(json.dumps({**example.line, "struck": example.is_struck}))
        return 0
    for line in shown(chosen) if options.ids else listed(chosen):
        print(clean(line))
    if not wants:
        print(_OFF)
    return 0


def listed(examples: Sequence[KeptExample]) -> Iterator[str]:
    """A line for each example, and how many there are."""
    for example in examples:
        line = example.line
        mark = "  struck out" if example.is_struck else ""
        reason = f"  “{line['reason'].splitlines()[0]}”" if line["reason"] else ""
        where = Path(example.workspace).name
        yield f"{example.id}  {line['kind']:<9}  {where}: {', '.join(line['paths'])}{reason}{mark}"
    struck = sum(example.is_struck for example in examples)
    yield f"{len(examples) - struck} examples" + (f", and {struck} struck out" if struck else "")


def shown(examples: Sequence[KeptExample]) -> Iterator[str]:
    """Examples in full, but for what is the same in all: the system prompt and the tools."""
    for example in examples:
        line = example.line
        yield f"== {example.id}: {line['kind']}, session {line['session']}, turn {line['turn']}"
        yield f"   in {example.workspace}{', struck out' if example.is_struck else ''}"
        for message in line["prompt"][1:]:
            yield f"-- {message['role']}"
            yield from _said(message)
        if "completion" in line:
            yield "== is to be written:"
            yield from _said(line["completion"][0])
        else:
            yield "== is to be written (+), rather than what was (-):"
            rejected, chosen = ("\n".join(_said(line[side][0])).split("\n") for side in ("rejected", "chosen"))
            yield from list(unified_diff(rejected, chosen, n=1000, lineterm=""))[3:]
        if line["reason"]:
            yield f"== for you said: {line['reason']}"


def _said(message: Mapping[str, Any]) -> Iterator[str]:
    if message.get("content"):
        yield message["content"]
    for call in message.get("tool_calls", ()):
        function = call["function"]
        yield f"{function['name']}:"
        try:
            arguments = json.loads(function["arguments"])
        except ValueError:
            arguments = {"": function["arguments"]}
        for name, value in arguments.items():
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"  {name}: {text}" if "\n" not in text else f"  {name}:\n{text}"
