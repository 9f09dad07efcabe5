"""Edits under the constraint: whatever is sampled, old_string stands in the file, once unless everywhere is
meant, and the real edit tool takes it."""

import asyncio
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.editing.match import find_matches
from app.agent.shell.jobs import Jobs
from app.agent.tools.base import ToolContext
from app.agent.tools.edit import Edit, EditArguments, _apply
from app.agent.tools.files import Files
from app.workspace.files.text import decode
from app.workspace.workspace import Workspace
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.edits.known_files import FilesMissing, FileTampered, KnownFiles, NamedFile
from mlx_model.chat.tools.edits.quotation import QuotableText, Quotation, QuotingTokens
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.chat.tools.parser import ToolCallParser
from mlx_model.chat.tools.reply_parts import CallArguments
from mlx_model.chat.tools.token_grammar import GrammarConstraint
from mlx_model.engine.loading import load
from mlx_model.model import Qwen3Next
from tests.support.engine.drafting import Depths, Oracle, asked, drafting_generator, reply
from tests.support.engine.practice_chats import PRACTICE_MODEL
from tests.support.weights.servable import servable_checkpoint
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

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

    def shown(self) -> list[NamedFile]:
        """As the agent sends it."""
        return [NamedFile(seen.paths, seen.sha256, seen.text) for seen in self.context.files.unchanged()]

    def constraint(self, shown: list[NamedFile] | None = None) -> GrammarConstraint:
        files = self.grammar.files.resolve(self.shown() if shown is None else shown)
        constraint = self.grammar.constraint(SCHEMAS, files)
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
    """A recorder where nothing is reviewed."""

    def record(self, *_: object) -> None: ...

    def command_started(self) -> None: ...

    def command_finished(self, _still_runs: bool) -> tuple[str, ...]:
        return ()


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
    shown = bench.shown()
    for seed in seeds:
        choice = random.Random(seed)
        constraint = bench.constraint(shown)
        path = choice.choice([path for file in shown for path in file.paths])
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
        at = text.normal.find(edit.old_string)
        is_unique = text.normal.find(edit.old_string, at + 1) < 0
        assert edit.old_string and at >= 0 and (is_unique or edit.replace_all), edit
        _apply(edit, location, bench.context)


def test_what_random_models_quote_stands_in_the_file(bench: Bench) -> None:
    assert_edits_hit(bench, range(120))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_edits_hit(tmp_path: Path, grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    files = FILES | {"long.py": lines(100_000), "long.crlf": lines(2_000).replace(b"\n", b"\r\n")}
    assert_edits_hit(made_bench(tmp_path, files, grammar, tokenizer), range(1000, 3000))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_the_practice_model_quotes_at_temperature_2_stands_in_the_file(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_directory(PRACTICE_MODEL)
    model = load(PRACTICE_MODEL).model
    assert isinstance(model, Qwen3Next)
    grammar = ToolGrammar(tokenizer, model.vocabulary)
    bench = made_bench(tmp_path, FILES | {"long.py": lines(100_000)}, grammar, tokenizer)
    shown = bench.shown()
    for seed in range(400):
        noise = np.random.default_rng(seed)
        path = str(noise.choice([path for file in shown for path in file.paths]))
        constraint = bench.constraint(shown)
        text = opened(path)
        assert follow(constraint, tokenizer, text)
        state = model.state()
        given = tokenizer.encode_marked(f"<|im_start|>assistant\n{text}", "\0")
        written = b""
        while not written.endswith(b"\n</parameter>\n"):
            logits = np.asarray(model.last_logits(mx.array([given]), state).astype(mx.float32))
            if len(written) > 300:
                logits = logits + 20 * np.isin(np.arange(len(logits)), tokenizer.encode("\n</"))
            scores = logits / 2 + noise.gumbel(size=len(logits))
            token = int(np.where(constraint.mask()[: len(scores)], scores, -np.inf).argmax())
            constraint.advance(token)
            written += tokenizer.bytes_of(token)
            given = [token]
        old = written.decode().removesuffix("\n</parameter>\n")
        location = bench.context.workspace.locate(path)
        _apply(EditArguments(file_path=path, old_string=old, new_string=f"{seed}"), location, bench.context)
        content = decode(location.absolute.read_bytes())
        assert content is not None and content.normal.count(old) == 1, (path, old)


def opened(path: str, *before: tuple[str, str]) -> str:
    """A call up to the text that is to be replaced."""
    given = "".join(parameter(*each) for each in (*before, ("file_path", path)))
    return f"<tool_call>\n<function=edit>\n{given}<parameter=old_string>\n"


CLOSED = "\n</parameter>\n"


@pytest.mark.parametrize(
    ("written", "may"),
    [
        (opened("repeated.txt") + "once" + CLOSED, True),
        (opened(" ./repeated.txt") + "again\nonce\nagain" + CLOSED, True),
        (opened("repeated.txt") + "again" + CLOSED, False),
        (opened("repeated.txt") + "twice" + CLOSED, False),
        (opened("repeated.txt") + CLOSED, False),
        (opened("repeated.txt", ("replace_all", "true")) + "again" + CLOSED, True),
        (opened("repeated.txt", ("replace_all", "false")) + "again" + CLOSED, False),
        (opened("repeated.txt", ("new_string", "a\n</parameter>b")) + "again" + CLOSED, False),
        (opened("crlf.py") + "\n\n\ndef b():\n\treturn 1" + CLOSED, True),
        (opened("quotes.md") + "“So,” he" + CLOSED, True),
        (opened("quotes.md") + '"So," he' + CLOSED, False),
        (opened("mark.cs") + "// </param> <parameters>" + CLOSED, True),
        # The last line lacks a newline; who quotes one means that line too.
        (opened("bare.txt") + "no newline" + CLOSED, True),
        (opened("bare.txt") + "no newline\n" + CLOSED, False),
        (opened("crlf.py") + "\treturn 1\n\n" + CLOSED, False),
        # What is not known is as free as it was.
        (opened("unread.py") + "anything" + CLOSED, True),
        (opened("sub/../repeated.txt") + "anything" + CLOSED, True),
        (
            f"<tool_call>\n<function=edit>\n{parameter('old_string', 'x')}{parameter('file_path', 'bare.txt')}",
            True,
        ),
        (f"<tool_call>\n<function=read>\n{parameter('file_path', 'bare.txt')}", True),
    ],
)
def test_what_an_edit_may_quote(bench: Bench, written: str, may: bool) -> None:
    assert follow(bench.constraint(), bench.tokenizer, written) is may


def test_a_file_that_changed_or_is_forgotten_is_not_quoted(bench: Bench) -> None:
    paths = {seen.paths[0] for seen in bench.context.files.unchanged()}
    assert paths == set(FILES)
    changed = bench.context.workspace.locate("bare.txt").absolute
    changed.write_text("other")
    assert {seen.paths[0] for seen in bench.context.files.unchanged()} == paths - {"bare.txt"}
    assert follow(bench.constraint(), bench.tokenizer, opened("bare.txt") + "anything" + CLOSED)
    bench.context.files.forget()
    assert not bench.context.files.unchanged()


def test_files_that_are_too_large_are_left_out(
    tmp_path: Path, grammar: ToolGrammar, tokenizer: Tokenizer
) -> None:
    files = {f"{n}.txt": b"x" * 4_000_000 for n in range(5)} | {"huge.txt": b"x" * (4 << 20) + b"x"}
    seen = made_bench(tmp_path, files, grammar, tokenizer).context.files.unchanged()
    # Those read last come first, and no more of them than 16 MiB.
    assert [file.paths[0] for file in seen] == ["4.txt", "3.txt", "2.txt", "1.txt"]


def test_a_text_in_which_calls_could_end_is_not_quoted(grammar: ToolGrammar) -> None:
    for text in ("", "a</parameter>b", "</function>", "x </tool_call>", "<parameter=old_string>"):
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        assert not grammar.files.resolve([NamedFile(["a"], sha256, text)])


def test_a_text_is_sent_once_and_the_oldest_are_dropped() -> None:
    known = KnownFiles(QuotingTokens([bytes([byte]) for byte in range(256)]), most_bytes=5)
    named = [
        NamedFile([f"{n}"], hashlib.sha256(text.encode()).hexdigest(), text) for n, text in enumerate("abc" * 2)
    ]
    bare = [NamedFile(file.paths, file.sha256) for file in named]
    with pytest.raises(FilesMissing) as missing:
        known.resolve([named[0], *bare[1:3]])
    assert missing.value.hashes == (bare[1].sha256, bare[2].sha256)
    assert known.resolve(bare[:1])["0"].bytes == b"a"
    with pytest.raises(FileTampered):
        known.resolve([NamedFile(["x"], named[1].sha256, "other")])
    long = "long"
    sha256 = hashlib.sha256(long.encode()).hexdigest()
    known.resolve([named[1], NamedFile(["long"], sha256, long)])
    assert known.resolve([bare[1]]) and known.resolve([NamedFile(["long"], sha256)])
    with pytest.raises(FilesMissing):
        known.resolve(bare[:1])


PIECES = st.lists(st.sampled_from(["a", "b", "\n", "é", "🙂", "</", "ab\n", "\n</p", "aa"]), max_size=12)


@given(PIECES, st.integers(0, 11), st.integers(0, 6), st.booleans())
def test_exactly_the_tokens_that_lead_to_a_quotation_are_admitted(
    pieces: list[str], start: int, length: int, everywhere: bool
) -> None:
    """Against the definition: a token may come where the whole begins some quotation and its end."""
    whole = "".join(pieces)
    vocabulary = [bytes([byte]) for byte in range(256)] + [
        token.encode()
        for token in ("ab", "a\n", "é\n", "\n<", "b\n</", "\n\n", "</p", ">\n", ">\n<", "aa", "a🙂")
    ]
    text = QuotableText(QuotingTokens(vocabulary), whole)
    quotations = {
        whole[a:b].encode()
        for a in range(len(whole))
        for b in range(a + 1, len(whole) + 1)
        if everywhere or len(find_matches(whole, whole[a:b], "")) == 1
    }
    may = {quoted + CLOSED.encode() for quoted in quotations}
    written = whole[start : start + length].encode()
    quotation = Quotation(text, unique=not everywhere).after(written) if whole else None
    if quotation is None:
        return
    mask = quotation.mask().tolist()
    for token, spelled in enumerate(vocabulary):
        is_right = any(each.startswith(written + spelled) for each in may)
        assert mask[token] is is_right, (written, spelled)
        assert (quotation.after(spelled) is not None) is is_right


def test_drafts_do_not_change_what_is_quoted(tmp_path: Path) -> None:
    """A random model that begins in the middle of a call; its drafts are right, wrong, or not in the file."""
    directory = servable_checkpoint(tmp_path / "model")
    model = load(directory).model
    tokenizer = Tokenizer.from_directory(directory)
    bench = made_bench(tmp_path, FILES, ToolGrammar(tokenizer, VOCABULARY), tokenizer)
    prompt = tokenizer.encode_marked(opened("repeated.txt"), "\0")

    def constraint() -> GrammarConstraint:
        begun = bench.constraint()
        assert follow(begun, tokenizer, opened("repeated.txt"))
        return begun

    for sampling in ({"temperature": 0}, {"temperature": 2.0, "seed": 1, "top_k": 0}):
        request = asked(prompt, 80, constraint=constraint, **sampling)
        plain, _ = reply(drafting_generator(model), request)
        said = b"".join(tokenizer.bytes_of(token) for token in plain).partition(CLOSED.encode())[0]
        assert said and said in FILES["repeated.txt"]
        oracle = Oracle([*prompt, *plain], VOCABULARY, 2)
        drafted, finished = reply(drafting_generator(model, oracle, policy=Depths()), request)
        assert drafted == plain and finished.accepted_tokens > 10
