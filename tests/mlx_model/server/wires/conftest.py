"""One engine for each test file of a wire: tests say what it replies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.request import GenerationRequest
from tests.support.engine.scripted_generator import ScriptedEngine, scripted_engine
from tests.support.weights.small_tokenizer import VOCABULARY

CALL = (
    "Let me see.\n\n<tool_call>\n<function=read_file>\n<parameter=file_path>\nsrc/ä.py\n</parameter>\n"
    "<parameter=limit>\n20\n</parameter>\n</function>\n</tool_call>"
)
SCHEMA = {
    "type": "object",
    "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}},
}
ARGUMENTS = {"file_path": "src/ä.py", "limit": 20}


@dataclass
class Talker:
    """An engine and what it says next."""

    engine: ScriptedEngine

    def says(self, *replies: str | Exception) -> None:
        """The next requests are answered with these."""
        said = self.engine.generator.replies
        del said[len(self.engine.generator.requests) :]
        said += replies

    def prompt(self, number: int = -1) -> str:
        """The prompt of a request, the last one by default, control tokens included."""
        return self.text(self.asked(number).prompt)

    def asked(self, number: int = -1) -> GenerationRequest:
        """What the generator was asked for."""
        return self.engine.generator.requests[number]

    def text(self, tokens: tuple[int, ...]) -> str:
        """Tokens as text."""
        return b"".join(map(self.engine.generator.encoder.tokenizer.bytes_of, tokens)).decode()


@pytest.fixture(scope="module")
def talker(checkpoint: Path) -> Iterator[Talker]:
    """An engine with a grammar, and with a key."""
    grammar = ToolGrammar(PromptEncoder.from_directory(checkpoint).tokenizer, VOCABULARY)
    with scripted_engine(checkpoint, api_key="sesame", keep_alive_seconds=0.02, grammar=grammar) as engine:
        yield Talker(engine)
