"""From a request to the pieces of its replies: prompts, constraints, and the one way to the generator."""

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import partial

from mlx_model.chat.prompt import EncodedPrompt, ReplyMemory
from mlx_model.chat.thoughts import ThoughtTokens
from mlx_model.decode.logprobs import margin
from mlx_model.decode.request import (
    Constraint,
    GenerationCosts,
    GenerationFinished,
    GenerationRequest,
    PromptProcessed,
    TokenGenerated,
)
from mlx_model.errors import RequestError
from mlx_model.server.failures import ContextOverflow
from mlx_model.server.held_thought import HeldThought
from mlx_model.server.reply import ReplyReader
from mlx_model.server.scheduler import Scheduler, ServedModel
from mlx_model.server.wires.received import GenerationOptions
from mlx_model.server.wires.wire import Doubt, Ended, Piece, ReadToken

_log = logging.getLogger(__name__)

_NO_CERTAIN_CALL = 'tool_choice: no call of these tools can be made certain with this model; use "auto".'

_NO_BUDGET = "thinking_token_budget: this model's thoughts cannot be ended; leave it out."


@dataclass(slots=True)
class Reply:
    """One reply in progress."""

    request: GenerationOptions
    generation: GenerationRequest
    model: ServedModel
    reader: ReplyReader
    memory: ReplyMemory
    lacks_tools: bool = False
    """As of EncodedPrompt."""
    finished: GenerationFinished | None = None

    def ended(self) -> Ended:
        """The complete reply."""
        assert self.finished is not None
        asked, limit = self.request.reply_limit, self.generation.max_tokens
        lowered = limit if asked is not None and limit < asked else None
        reader = self.reader
        return Ended(reader.message, reader.reason, self.finished, lowered, reader.stop_string, reader.thought)


def replies_to(model: ServedModel, request: GenerationOptions) -> list[Reply]:
    """Prepares the replies to a request, for each prompt `n`. Raises RequestError, ContextOverflow among
    them."""
    constraint, exact = _constraint(model, request)
    prompts = request.prompts(model.encoder)
    return [
        _reply(model, request, prompt, constraint, exact=exact, choice=choice)
        for prompt in prompts
        for choice in range(request.n or 1)
    ]


def _reply(
    model: ServedModel,
    request: GenerationOptions,
    prompt: EncodedPrompt,
    constraint: Callable[[], Constraint | None],
    *,
    exact: bool,
    choice: int,
) -> Reply:
    tokenizer = model.encoder.tokenizer
    beside = (tokenizer.control_tokens.get(text) for text in request.stops_beside)
    thought = ThoughtTokens.of(tokenizer) if request.tells_thoughts_apart else None
    thinks = thought is not None and thought.opened_by(prompt.tokens)
    budget = request.thought_budget(model.encoder.template)
    if thought is not None and (thinks or budget is not None):
        constraint = _held(model, constraint, thought, thinks=thinks, budget=budget)
    stops = tokenizer.stop_tokens | {token for token in beside if token is not None}
    generation = _generation(model, request, prompt, constraint, frozenset(stops))
    seed = generation.sampling.seed
    if choice and seed is not None:
        # The same seed would give the same reply again.
        generation = replace(generation, sampling=replace(generation.sampling, seed=seed + choice))
    reader = ReplyReader(
        tokenizer,
        request.stop_strings,
        request.schemas(),
        one_call=request.has_one_call,
        exact=exact,
        stop_tokens=stops,
        thought=thought,
        thinks=thinks,
        budget=budget,
    )
    memory = model.encoder.reply_to(generation.prompt, reader.client_prefixes)
    return Reply(request, generation, model, reader, memory, prompt.lacks_tools)


def _held(
    model: ServedModel,
    constraint: Callable[[], Constraint | None],
    thought: ThoughtTokens,
    *,
    thinks: bool,
    budget: int | None,
) -> Callable[[], Constraint | None]:
    """Makes the constraint of a reply that thinks, or may think, first. Raises RequestError."""
    grammar = model.grammar
    if grammar is None:
        if budget is not None:
            raise RequestError(_NO_BUDGET)
        return constraint

    def make() -> Constraint | None:
        after = constraint()
        if after is None and budget is None:
            return None
        return HeldThought(thought, grammar.vocabulary, thinks=thinks, budget=budget, after=after)

    return make


def _generation(
    model: ServedModel,
    request: GenerationOptions,
    prompt: EncodedPrompt,
    constraint: Callable[[], Constraint | None],
    stops: frozenset[int],
) -> GenerationRequest:
    context, length = model.generator.context_length, len(prompt.tokens)
    room, limit = context - length, request.reply_limit
    if room < 1:
        raise ContextOverflow(
            f"The context holds {context:,} tokens, but the conversation has {length:,}; "
            "shorten the conversation."
        )
    return GenerationRequest(
        prompt=prompt.tokens,
        max_tokens=room if limit is None else min(limit, room),
        stop_tokens=stops,
        sampling=request.sampling(model.sampling),
        boundaries=prompt.boundaries,
        constraint=constraint,
        draft=request.draft,
        adapter=_adapter(model, request),
        logprobs=max(request.logprobs_wanted or 0, 2) if request.wants_doubt else request.logprobs_wanted,
    )


def _adapter(model: ServedModel, request: GenerationOptions) -> str:
    if model.adapters is not None:
        return model.adapters.resolve(request.adapter)
    if request.adapter is not None:
        raise RequestError("adapter: the adapter of this model cannot be changed; leave it out.")
    return ""


def _constraint(model: ServedModel, request: GenerationOptions) -> tuple[Callable[[], Constraint | None], bool]:
    """Makes the constraint of a reply: to JSON, or of tool calls to the registered tools and of edits to the
    request's files; and whether calls are held to their form. Raises RequestError, FilesMissing among them."""
    schemas, grammar, form = request.schemas(), model.grammar, request.json_reply
    if form is not None:
        if grammar is None:
            raise RequestError(
                "response_format: this model's replies cannot be held to a grammar; leave it out."
            )
        return grammar.json_reply(form.value, bool(form.strict)), False
    if schemas is None or grammar is None:
        if request.needs_call:
            raise RequestError(_NO_CERTAIN_CALL)
        return lambda: None, False
    files = grammar.files.resolve(request.named_files())
    make = partial(grammar.constraint, schemas, files, required=request.needs_call)
    can_hold = make() is not None
    if request.needs_call and not can_hold:
        raise RequestError(_NO_CERTAIN_CALL)
    return make, can_hold


async def pieces(scheduler: Scheduler, reply: Reply) -> AsyncGenerator[PromptProcessed | Piece]:
    """The pieces of a reply, until it ends or a stop string makes the rest unwanted. Raises EngineError."""
    reader, memory = reply.reader, reply.memory
    is_remembered = False
    with memory.in_progress():
        try:
            async with contextlib.aclosing(_generated(scheduler, reply)) as generated:
                async for piece in generated:
                    yield piece
            yield Piece(tuple(reader.finish()))
            # The message is complete now. In threads, for this writes to disk.
            if not reply.generation.max_tokens:
                await asyncio.to_thread(reply.model.settle)
                is_remembered = True
            elif reader.is_whole:
                await asyncio.to_thread(memory.completed, reader.message, reader.tokens)
                is_remembered = True
        finally:
            if not is_remembered:
                memory.interrupted()
    finished = reply.finished
    assert finished is not None
    _log.info(
        "%d prompt tokens (%d cached) in %.0f ms, %d tokens in %.0f ms, %s",
        finished.prompt_tokens,
        finished.cached_tokens,
        finished.prompt_ms,
        finished.generated_tokens,
        finished.generated_ms,
        reader.reason,
    )


async def _generated(scheduler: Scheduler, reply: Reply) -> AsyncGenerator[PromptProcessed | Piece]:
    """A piece for each token; the last event of the generation becomes `finished`."""
    enough = threading.Event()
    async with contextlib.aclosing(scheduler.events(reply.generation, enough)) as events:
        async for event in events:
            match event:
                case PromptProcessed():
                    yield event
                case TokenGenerated():
                    yield _piece(reply, event)
                case GenerationFinished():
                    reply.finished = event
            if reply.reader.stopped:
                enough.set()


def _piece(reply: Reply, event: TokenGenerated) -> Piece:
    """What a token completes."""
    counts = not reply.reader.stopped and event.token not in reply.generation.stop_tokens
    parts = tuple(reply.reader.add(event.token))
    costs: GenerationCosts = event.costs
    if event.logprobs is None or not counts:
        return Piece(parts, costs)
    doubt = read = None
    if reply.request.wants_doubt:
        chance = math.exp(event.logprobs.logprob)
        doubt = Doubt(reply.reader.completed, chance, margin(event.token, event.logprobs))
    wanted = reply.request.logprobs_wanted
    if wanted is not None:
        text = reply.model.encoder.tokenizer.bytes_of
        top = tuple((text(token), logprob) for token, logprob in event.logprobs.top[:wanted])
        read = ReadToken(text(event.token), event.logprobs, top)
    return Piece(parts, costs, read, doubt)
