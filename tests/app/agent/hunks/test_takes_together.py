"""Takes are decoded by our engine in one batch: its generator is asked for how many replies each step is."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.agent.agent import Agent
from app.agent.hunks.takes import ToWrite, other_takes
from app.agent.session.session import new_journal
from app.model.wire.client import Address, ChatClient
from app.review.model import FileImage
from app.workspace.workspace import Workspace
from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept
from mlx_model.server.http import create_app
from mlx_model.server.scheduler import Scheduler, ServedModel
from tests.app.agent.hunks.test_asking import long_session
from tests.support.agent.agent_bench import Asker, Recorder
from tests.support.patience import LONGEST
from tests.support.weights.models import load_tiny
from tests.support.weights.servable import make_endless, servable_checkpoint

TAKES = 3


async def test_takes_of_a_hunk_are_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = make_endless(servable_checkpoint(tmp_path / "tiny", max_position_embeddings=16384))
    monkeypatch.setattr("app.agent.hunks.takes.SYSTEM_PROMPT", "You write files.")
    monkeypatch.setattr("app.agent.hunks.takes._MOST_TOKENS", 48)
    model, encoder = load_tiny(checkpoint), PromptEncoder.from_directory(checkpoint)
    arrived, ready, rows = threading.Semaphore(0), threading.Event(), list[int]()

    class Counting(Generator[Any]):
        def begin(self, *request: Any) -> Any:
            # The first waits for the others, so that it cannot be over before they come.
            for _ in range(TAKES if not rows else 0):
                assert arrived.acquire(timeout=LONGEST)
            rows.append(1)
            return super().begin(*request)

        def together(self, generations: Sequence[Any]) -> Any:
            rows.append(len(generations))
            return super().together(generations)

    generator = Counting(model, NothingKept(model), chunk=512, batching=model)
    grammar = ToolGrammar(encoder.tokenizer, model.vocabulary)
    scheduler = Scheduler(lambda _: ServedModel("tiny", generator, encoder, grammar=grammar))
    scheduler.start(ready.set)
    assert await asyncio.to_thread(ready.wait, LONGEST)
    served = create_app(scheduler)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("/chat/completions"):
            arrived.release()
        await served(scope, receive, send)

    client = ChatClient(Address("http://localhost/v1"), is_ours=True)
    client._http = httpx2.AsyncClient(transport=httpx2.ASGITransport(counted), timeout=None)
    (root := tmp_path / "project").mkdir()
    agent = Agent(Workspace(root), client, Recorder(root), Asker(), new_journal(root))
    now = {"f0.py": FileImage(b"x = 1")}
    work = ToWrite("s", {"f0.py": ("c0",)}, {"f0.py": None}, now, "f0.py", is_hunk=True)
    try:
        hands = agent.hunks.hands
        hands.toolbox.specifications = hands.toolbox.specifications[:2]  # a short prompt
        found = await other_takes(hands, long_session(1), work, TAKES, 1.0)
        assert found.asked == TAKES
        # The first are some tokens ahead: they are decoded while the prompts of the others are read.
        assert rows.count(TAKES) > 24
    finally:
        await agent.aclose()
        scheduler.stop()
        await asyncio.to_thread(scheduler.join, LONGEST)
