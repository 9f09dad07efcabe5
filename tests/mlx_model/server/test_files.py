"""The texts of files, from the agent's client to the engine's constraint."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from app.model.events import Finished
from app.model.messages import ChatRequest, Message, SeenFile, ToolSpecification
from app.model.wire.client import Address, ChatClient
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.edits.known_files import NamedFile
from mlx_model.chat.tools.grammar import ToolGrammar
from tests.support.engine.scripted_generator import scripted_engine
from tests.support.weights.small_tokenizer import VOCABULARY

PARAMETERS = {"properties": {"file_path": {"type": "string"}, "old_string": {"type": "string"}}}
OPENED = "<tool_call>\n<function=edit>\n<parameter=file_path>\na.py\n</parameter>\n<parameter=old_string>\n"


async def test_a_text_is_sent_once_and_holds_the_edits_of_every_request(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = Tokenizer.from_directory(checkpoint)
    grammar = ToolGrammar(tokenizer, VOCABULARY)
    resolve, sent = grammar.files.resolve, []

    def watched(files: Iterable[NamedFile]) -> object:
        named = list(files)
        sent.append([file.text for file in named])
        return resolve(named)

    monkeypatch.setattr(grammar.files, "resolve", watched)
    seen = [SeenFile(("a.py",), "alpha\nbeta\n"), SeenFile(("b.py",), "gamma\n")]
    request = ChatRequest(
        (Message("user", "hi"),), (ToolSpecification("edit", "", PARAMETERS),), files=lambda: tuple(seen)
    )
    with scripted_engine(checkpoint, "one", "two", "three", grammar=grammar) as engine:
        client = ChatClient(Address(f"{engine.url}/v1"), is_ours=True)
        for _ in range(2):
            assert isinstance([event async for event in client.stream(request)][-1], Finished)
        seen[0] = SeenFile(("a.py",), "delta\n")
        assert isinstance([event async for event in client.stream(request)][-1], Finished)
        await client.aclose()
        first, _, changed = engine.generator.requests
    none = [None, None]
    assert sent == [none, ["alpha\nbeta\n", "gamma\n"], none, none, ["delta\n", None]]
    for made, word, may in ((first, "beta", True), (first, "delta", False), (changed, "delta", True)):
        constraint = made.constraint()
        assert constraint is not None
        for token in tokenizer.encode_marked(OPENED, "\0"):
            constraint.advance(token)
        assert bool(constraint.mask()[tokenizer.encode(word)[0]]) is may
