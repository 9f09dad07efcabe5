"""bench doubt: whether doubt in what a model writes into a file predicts which lines are wrong.

Of each recorded chat the model writes the first edit itself, after the chat's own messages up to there. A line
that it changes is right where the file then has the line that the recorded edit gives it. Recorded edits must
be right: those of the practice range are an expert's, checked by tests. Replies are not held to a grammar,
which changes no probability that is looked at here.
"""

import argparse
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from mlx_model.bench.doubt.curve import SCORES, WrittenLine, deciles, separation, thresholds
from mlx_model.chat.detokenizer import Detokenizer
from mlx_model.chat.prompt import PromptEncoder
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import load_model
from mlx_model.commands.shared.sizes import count
from mlx_model.decode.generator import Generator
from mlx_model.decode.logprobs import margin
from mlx_model.decode.request import GenerationRequest, TokenGenerated
from mlx_model.engine.generation_config import published_sampling
from mlx_model.errors import RequestError
from mlx_model.memory.plan import Wishes

_MOST_TOKENS = 256
"""Of a reply; an edit of the practice range takes about 60."""
_PARAMETER = re.compile(r"<parameter=(\w+)>\n(.*?)\n</parameter>", re.DOTALL)
_LIMITS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Case:
    """A chat up to an edit: the messages before it, the file's text before, and after the right edit."""

    messages: Sequence[Mapping[str, Any]]
    before: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Written:
    """A token of a reply: its text, and the probability and margin it was chosen with (0 to 1, -1 to 1)."""

    text: str
    probability: float
    margin: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument(
        "--chats",
        type=Path,
        required=True,
        metavar="F",
        help="JSON lines, each with the `messages` of a chat that makes a right edit, as "
        "`python -m app.practice.transcripts --split test --pool all` writes them",
    )
    parser.add_argument("--edits", type=count, default=600, metavar="N", help="edits (default: %(default)s)")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="chats to leave out first")
    parser.add_argument("--temperature", type=float, metavar="T", help="(default: the checkpoint's own)")
    parser.add_argument("--json", action="store_true", help="print every line with its scores")
    add_memory(parser, slots=False)
    parser.set_defaults(dtype=None, adapter=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints the curves as tables in Markdown. Raises EngineError."""
    cases = list(read_cases(arguments.chats))[arguments.skip :][: arguments.edits]
    if not cases:
        raise RequestError(f"{arguments.chats} has no edit of a file that was read before.")
    encoder = PromptEncoder.from_directory(arguments.model)
    prompts = [encoder.encode([dict(message) for message in case.messages]).tokens for case in cases]
    plan = settle_memory(arguments, Wishes(max(map(len, prompts)) + _MOST_TOKENS, snapshots=0))
    generator: Generator[Any] = load_model(arguments, plan).generator()
    sampling = published_sampling(arguments.model)
    if arguments.temperature is not None:
        sampling = replace(sampling, temperature=arguments.temperature, top_p=1.0, top_k=0)
    lines: list[WrittenLine] = []
    missed = right = 0
    for seed, (case, prompt) in enumerate(zip(cases, prompts, strict=True), arguments.skip):
        stops = encoder.tokenizer.stop_tokens
        request = GenerationRequest(
            prompt, _MOST_TOKENS, stops, replace(sampling, seed=seed), logprobs=2, draft="none"
        )
        found = judged(case, _reply(generator, encoder, request))
        if found is None:
            missed += 1
            continue
        is_right, written = found
        right += is_right
        lines += written
    if arguments.json:
        totals = {"edits": len(cases), "right": right, "missed": missed}
        print(json.dumps({**totals, "lines": [asdict(line) for line in lines]}))
        return 0
    wrong = sum(not line.is_right for line in lines)
    print(f"{len(cases)} edits: {right} right, {missed} of no file; {len(lines)} lines, {wrong} wrong.")
    for name, score in SCORES.items():
        area = separation(lines, score)
        print(f"\n{name}: area under the ROC curve {'-' if area is None else f'{area:.3f}'}\n")
        print("| Decile | Score | Lines | Wrong |\n|---:|---|---:|---:|")
        for number, one in enumerate(deciles(lines, score), 1):
            span = f"{one.lowest:.4f} to {one.highest:.4f}"
            print(f"| {number} | {span} | {one.lines} | {one.wrong / one.lines:.0%} |")
        print("\n| Below | Lines | Of them wrong | Of all wrong |\n|---:|---:|---:|---:|")
        for limit in thresholds(lines, score, _LIMITS):
            shares = f"{limit.tinted:.0%} | {limit.precision:.0%} | {limit.recall:.0%}"
            print(f"| {limit.score} | {shares} |")
    return 0


def read_cases(path: Path) -> Iterator[Case]:
    """The first edit of each chat, where the file was read before and the quoted text stands in it once. Chats
    whose first edit is a mistake, as their `masked` says, are left out. Raises RequestError."""
    try:
        records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise RequestError(f"{path} cannot be read as chats, one a line: {error}.") from None
    for record in records:
        texts: dict[str, str] = {}
        reads = ""
        for index, message in enumerate(record["messages"]):
            if message["role"] == "tool" and reads:
                texts[reads], reads = message["content"], ""
            name, given = _call(message)
            if name == "read_file":
                reads = given["file_path"]
            elif name == "edit":
                before = texts.get(given["file_path"], "")
                if index not in record.get("masked", ()) and before.count(given["old_string"]) == 1:
                    wanted = before.replace(given["old_string"], given["new_string"])
                    yield Case(record["messages"][:index], before, wanted)
                break


def _call(message: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    calls = message.get("tool_calls") or ()
    return (calls[0]["function"]["name"], calls[0]["function"]["arguments"]) if calls else ("", {})


def _reply(generator: Generator[Any], encoder: PromptEncoder, request: GenerationRequest) -> list[Written]:
    detokenizer = Detokenizer(encoder.tokenizer)
    reply: list[Written] = []
    for event in generator.generate(request, lambda: False):
        if isinstance(event, TokenGenerated) and event.token not in request.stop_tokens:
            assert event.logprobs is not None
            chance = math.exp(event.logprobs.logprob)
            reply.append(Written(detokenizer.add(event.token), chance, margin(event.token, event.logprobs)))
    return reply


def judged(case: Case, reply: Sequence[Written]) -> tuple[bool, list[WrittenLine]] | None:
    """Whether a reply's edit is right, and the lines that it changes; None where it is none of that file."""
    text = "".join(token.text for token in reply)
    spans = {match[1]: match.span(2) for match in _PARAMETER.finditer(text)}
    if not {"old_string", "new_string"} <= spans.keys():
        return None
    (old_at, old_end), (new_at, new_end) = spans["old_string"], spans["new_string"]
    old, new = text[old_at:old_end], text[new_at:new_end]
    if case.before.count(old) != 1:
        return None
    at = case.before.index(old)
    after = case.before[:at] + new + case.before[at + len(old) :]
    before, now, wanted = (one.split("\n") for one in (case.before, after, case.wanted))
    same = {
        n
        for _, j, size in SequenceMatcher(None, before, now, False).get_matching_blocks()
        for n in range(j, j + size)
    }
    right = {
        n
        for _, j, size in SequenceMatcher(None, wanted, now, False).get_matching_blocks()
        for n in range(j, j + size)
    }
    place, said = _lowest(reply, old_at, old_end + 1), _lowest(reply, 0, max(0, text.find("<tool_call>")))
    lines: list[WrittenLine] = []
    start = 0
    for number, line in enumerate(now):
        # The part of the line that was written, as a range of the reply's text; the line feed belongs to it.
        first, last = max(start, at), min(start + len(line) + 1, at + len(new) + 1)
        if number not in same and first < last:
            low = _lowest(reply, new_at + first - at, new_at + last - at)
            lines.append(
                WrittenLine(number in right, low.probability, low.margin, place.probability, said.probability)
            )
        start += len(line) + 1
    return after == case.wanted, lines


def _lowest(reply: Sequence[Written], start: int, end: int) -> Written:
    """The lowest probability and margin among the tokens that have a part in these characters."""
    at = 0
    probability = margin_ = 1.0
    for token in reply:
        if token.text and at < end and at + len(token.text) > start:
            probability, margin_ = min(probability, token.probability), min(margin_, token.margin)
        at += len(token.text)
    return Written("", probability, margin_)
