"""Edits under the constraint: whatever is sampled, old_string stands in the file, once unless everywhere is
meant, and the real edit tool takes it."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from app.agent.shell.jobs import Jobs
from app.agent.tools.base import ToolContext
from app.agent.tools.edit import Edit, EditArguments, _apply
from app.agent.tools.files import Files
from app.workspace.text import decode
from app.workspace.workspace import Workspace
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.chat.tools.known_files import NamedFile
from mlx_model.chat.tools.parser import CallArguments, ToolCallParser
from mlx_model.chat.tools.token_grammar import GrammarConstraint
from tests.support.small_tokenizer import VOCABULARY, write_small_tokenizer

SCHEMAS = {"edit": Edit().specification.parameters, "read": {"properties": {"file_path": {"type": "string"}}}}
FILES = {
    "crlf.py": b"def a():\r\n\treturn 1\r\n\r\n\r\ndef b():\r\n\treturn 1\r\n",
    "tabs.go": b"func f() {\n\tif x {\n\t\treturn\n\t}\n\tif x {\n\t\treturn\n\t}\n}\n",
    "quotes.md": "“So,” she said – ‘well…’\n\nIt’s a “dash” — or\u00a0not.\n“So,” he said.".encode(),
    "repeated.txt": b"again\n" * 40 + b"once\n" + b"again\n" * 40,
    "mark.cs": b"\xef\xbb\xbfclass C\n{\n}\n// </param> <parameters>\nclass D\n{\n}",
    "latin.txt": "Grüße, Käse, Größe\nGrüße, Käse\n".encode("cp1252"),
    "sub/wide.txt": b"\xff\xfe" + "émigré 🙂🙂\nx\n".encode("utf-16-le"),
    "bare.txt": b"last\nlast\nno newline",
}


def lines(count: int) -> bytes:
    """Source text of so many lines, a third of which stand in it many times."""
    made = (f"    value_{n} = f({n % 97})" if n % 3 else "    return value" for n in range(count))
    return ("\n".join(made) + "\n").encode()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_small_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def grammar(tokenizer: Tokenizer) -> ToolGrammar:
    return ToolGrammar(tokenizer, VOCABULARY)


@dataclass
class Bench:
    """Files on disk that the agent has read, and what the engine holds edits of them to."""

    context: ToolContext
    grammar: ToolGrammar
    tokenizer: Tokenizer

    def constraint(self) -> GrammarConstraint:
        files = [NamedFile(seen.paths, seen.sha256, seen.text) for seen in self.context.files.unchanged()]
        constraint = self.grammar.constraint(SCHEMAS, self.grammar.files.resolve(files))
        assert constraint is not None
        return constraint

    def read(self, *paths: str) -> None:
        for path in paths:
            location = self.context.workspace.locate(path)
            text = self.context.files.read(location)
            assert text is not None
            self.context.files.saw(location, text)


@pytest.fixture
def bench(tmp_path: Path, grammar: ToolGrammar, tokenizer: Tokenizer) -> Bench:
    return made_bench(tmp_path, FILES, grammar, tokenizer)


def made_bench(root: Path, files: dict[str, bytes], grammar: ToolGrammar, tokenizer: Tokenizer) -> Bench:
    for name, data in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
    context = ToolContext(
        Workspace(root), Files(_NoRecord()), Jobs(root / "jobs"), lambda _text: asyncio.sleep(0)
    )
    bench = Bench(context, grammar, tokenizer)
    bench.read(*files)
    return bench


class _NoRecord:
    """A recorder for tests that review nothing."""

    def record(self, *_: object) -> None: ...


def follow(constraint: GrammarConstraint, tokenizer: Tokenizer, text: str) -> bool:
    """Whether this may be written next, token by token as the tokenizer has it."""
    for token in tokenizer.encode_marked(text, "\0"):
        if not constraint.mask()[token]:
            return False
        constraint.advance(token)
    return True


def parameter(name: str, value: str) -> str:
    return f"<parameter={name}>\n{value}\n</parameter>\n"


def sampled(constraint: GrammarConstraint, tokenizer: Tokenizer, noise: np.random.Generator) -> str:
    """A value drawn at temperature 2 from random logits that lean to ending it, with its end."""
    ends = np.isin(np.arange(VOCABULARY), [token for text in "\n</" for token in tokenizer.encode(text)])
    ending = noise.choice([0.0, 8.0])
    written = b""
    while not written.endswith(b"\n</parameter>\n"):
        logits = 3 * noise.standard_normal(VOCABULARY) + ending * ends
        scores = np.where(constraint.mask(), logits / 2 + noise.gumbel(size=VOCABULARY), -np.inf)
        token = int(scores.argmax())
        constraint.advance(token)
        written += tokenizer.bytes_of(token)
        if len(written) > 300:
            ending = 20.0
    return written.decode()


def edits(bench: Bench, seeds: range) -> Iterator[EditArguments]:
    """Finished calls of random models, as the agent gets them."""
    for seed in seeds:
        choice = random.Random(seed)
        constraint = bench.constraint()
        path = choice.choice([path for seen in bench.context.files.unchanged() for path in seen.paths])
        everywhere = choice.choice([None, "true", "false"])
        head = "<tool_call>\n<function=edit>\n"
        before = [("file_path", choice.choice(["", "./"]) * (path[0] != "/") + path)]
        before += [] if everywhere is None else [("replace_all", everywhere)]
        before += choice.choice([[], [("new_string", f"new </parameter>, {seed}\n\n")]])
        choice.shuffle(before)
        text = head + "".join(parameter(*given) for given in before) + "<parameter=old_string>\n"
        assert follow(constraint, bench.tokenizer, text), text
        text += sampled(constraint, bench.tokenizer, np.random.default_rng(seed))
        rest = "" if ("new_string" in dict(before)) else parameter("new_string", f"{seed}")
        rest += "</function>\n</tool_call>"
        assert follow(constraint, bench.tokenizer, rest) and not constraint.active, text
        parser = ToolCallParser(SCHEMAS)
        parts = [*parser.feed(text + rest), *parser.finish(truncated=False)]
        arguments = "".join(part.fragment for part in parts if isinstance(part, CallArguments))
        yield Edit().parse(arguments)


def assert_edits_hit(bench: Bench, seeds: range) -> None:
    for edit in edits(bench, seeds):
        location = bench.context.workspace.locate(edit.file_path)
        text = decode(location.absolute.read_bytes())
        assert text is not None
        count = len([at for at in range(len(text.normal)) if text.normal.startswith(edit.old_string, at)])
        assert count == 1 or (count > 1 and edit.replace_all), edit
        _apply(edit, location, bench.context)


def test_what_random_models_quote_stands_in_the_file(bench: Bench) -> None:
    assert_edits_hit(bench, range(120))
