"""The loop: ask the model, do what it calls for, tell it what came of that, until it calls for nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from app.agent import budget
from app.agent.activity import Emit
from app.agent.errors import ToolFailure
from app.agent.events import (
    EndReason,
    FilesChanged,
    Noticed,
    PromptProgressed,
    ReplyBroken,
    ReplyFinished,
    ReplyProgressed,
    TextStreamed,
    ThoughtStreamed,
    TodosChanged,
    ToolCallStreamed,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from app.agent.hunks.doubt import pack
from app.agent.loop_guard import LoopGuard
from app.agent.permission.commands.named import named_files
from app.agent.permission.permissions import Permissions
from app.agent.port import PermissionAnswer, PermissionAsker, PermissionRequest
from app.agent.prompt.prompt import SYSTEM_PROMPT, folder_instructions
from app.agent.reply import Reply
from app.agent.session.conversation import Conversation
from app.agent.session.history import COMPACTED
from app.agent.shell.again import run_again
from app.agent.shell.jobs import Jobs
from app.agent.shell.sandbox import find_sandbox
from app.agent.tools.base import (
    MAX_RESULT_CHARACTERS,
    Access,
    Tool,
    ToolContext,
    ToolResult,
    cut,
    cut_middle,
    in_thread,
)
from app.agent.tools.files import Files
from app.agent.tools.toolbox import Toolbox
from app.errors import TidegateError
from app.model.errors import ContextOverflow, EngineLost, GarbledReply, ModelError
from app.model.events import (
    Finished,
    PromptProgress,
    ReplyProgress,
    StreamEvent,
    TextDelta,
    TextWasThought,
    ThoughtDelta,
    TokensChosen,
    ToolCallDelta,
    Warned,
)
from app.model.messages import ChatRequest, Message, ToolCall
from app.model.port import ModelPort
from app.review.port import ChangeRecorder
from app.settings.settings import BadSettings, Effort, Rule, remember_rules
from app.workspace.workspace import Workspace

_MAX_REPLIES = 100  # of the model in one turn
_MAX_CHARACTERS = 120_000
"""Of one reply, arguments included; far more than any file that a model should write in one go."""
_BETWEEN_TIMINGS = 0.25  # seconds
_CANCELLED = "Cancelled by the user."
NO_SANDBOX = (
    "There is no sandbox here (on Linux, install bubblewrap; on macOS, none works inside another sandbox): in "
    "auto mode, commands run with all your rights."
)

Delegate = Callable[[str, str], Awaitable[ToolResult]]
"""Have a sub-agent answer for the call with this id this prompt."""


@dataclass(frozen=True, slots=True)
class Hands:
    """What the agent works with through a session. `context_length` asks for the model's, in tokens."""

    workspace: Workspace
    model: ModelPort
    asker: PermissionAsker
    recorder: ChangeRecorder
    permissions: Permissions
    files: Files
    jobs: Jobs
    toolbox: Toolbox
    context_length: budget.ContextLength
    effort: Callable[[], Effort] = lambda: "default"
    told: set[str] = field(default_factory=set)
    """The server's warnings that the user has seen."""

    @property
    def fixed_tokens(self) -> int:
        """What system prompt and tools take in every prompt, roughly."""
        return budget.FIXED_TOKENS + budget.tokens_of(self.toolbox.mcp_characters)


def compact(conversation: Conversation, keep: int, context_length: int | None) -> bool:
    """Replace all but the last `keep` messages by a summary. False if there is nothing before them."""
    if len(conversation.messages) - keep <= conversation.has_digest:
        return False
    limit = budget.digest_characters(context_length)
    conversation.compact(keep, budget.digest(conversation.all_but(keep), conversation.todos, limit))
    return True


async def _nothing_to_say() -> bool:
    return False


class Turn:
    """One turn, from the user's message that was just added to `conversation` to the last reply."""

    def __init__(
        self,
        hands: Hands,
        conversation: Conversation,
        emit: Emit,
        steer: Callable[[], Awaitable[bool]],
        *,
        has_warned: bool,
        most_replies: int = _MAX_REPLIES,
        may_call: bool = True,
        delegate: Delegate | None = None,
        check: Callable[[], Awaitable[bool]] = _nothing_to_say,
    ) -> None:
        self._hands = hands
        self._most_replies = most_replies
        self._may_call = may_call
        self._delegate = delegate
        self._check = check
        """Adds what the model should know before it is done; tells whether there was something."""
        self._steer = steer
        """Adds what the user said since; tells whether there was something."""
        self._conversation = conversation
        self._emit = emit
        self._guard = LoopGuard()
        self._known_tokens = 0
        self._known_messages = 0
        self.has_warned = has_warned
        """Whether the user was told that there is no sandbox."""

    async def run(self) -> tuple[EndReason, str]:
        """Work until the model is done. Returns how it ended, and why where that needs saying.

        Raises ModelError when the model cannot answer, SessionError when the disk cannot take what was said.
        """
        for _ in range(self._most_replies):
            await self._steer()
            if not await self._make_room():
                return "limit", "The conversation is too long for the model's context; begin a new session."
            reply = await self._ask()
            assert reply.finished is not None
            if reply.is_runaway:
                self._conversation.close_calls("Not done: the reply came to no end and was stopped.")
                return (
                    "limit",
                    f"The reply came to no end: it was stopped after {_MAX_CHARACTERS:,} characters; "
                    'say "go on" if it should continue.',
                )
            if not reply.calls:
                if reply.finished.reason == "length":
                    return "limit", 'The reply was cut off at the model\'s limit; say "go on" to have the rest.'
                if reply.finished.reason == "content_filter":
                    return "limit", "The server's content filter ended the reply; say it in other words."
                if not reply.text.strip():
                    await self._emit(Noticed("The model ended its reply without a word."))
                if await self._steer() or await self._check():
                    continue
                return "done", ""
            for call, written in zip(self._conversation.open_calls(), reply.calls, strict=True):
                count = await self._do(call, written.arguments)
                if self._guard.is_stuck(count):
                    self._conversation.close_calls("Not done: the agent was going round in circles.")
                    return (
                        "limit",
                        f"The agent made the same call {count} times with the same result and was stopped; "
                        "tell it what to try instead.",
                    )
        return (
            "limit",
            f'The agent took {self._most_replies} steps and was stopped; say "go on" if it should continue.',
        )

    # The model.

    async def _ask(self) -> Reply:
        is_second = was_too_long = False
        while True:
            messages = (Message("system", SYSTEM_PROMPT), *self._conversation.messages)
            tools = self._hands.toolbox.specifications
            request = ChatRequest(
                messages,
                tools,
                files=self._hands.files.unchanged,
                effort=self._hands.effort(),
                may_call=self._may_call,
                wants_chances=True,
            )
            reply = Reply(self._conversation.free_id)
            try:
                # Every stream is a generator; the protocol does not say so.
                stream = cast(Any, self._hands.model.stream(request))
                async with aclosing(stream) as events:
                    await self._listen(events, reply)
                break
            except EngineLost as error:
                self._conversation.break_off(reply.text)
                if is_second:
                    raise
                is_second = True
                await self._emit(ReplyBroken(f"{error.what}; the reply begins again."))
            except ContextOverflow as error:
                self._conversation.break_off(reply.text)
                self._hands.context_length.learn(self._tokens(), error.length)
                if was_too_long or not await self._make_room():
                    raise ContextOverflow(error.what, f"{error.remedy} (/compact leaves out more)") from error
                was_too_long = True
                await self._emit(ReplyBroken("The context was full; the reply begins again."))
            except ModelError:
                self._conversation.break_off(reply.text)
                raise
            except asyncio.CancelledError:
                if reply.text:
                    self._conversation.add(Message("assistant", reply.text))
                raise
        assert reply.finished is not None
        doubt = pack(reply.calls, reply.chances)
        self._conversation.add(Message("assistant", reply.text, reply.calls), doubt=doubt)
        self._measure(reply.finished)
        await self._emit(ReplyFinished(reply.finished))
        return reply

    async def _listen(self, events: AsyncIterator[StreamEvent], reply: Reply) -> None:
        told_at = -_BETWEEN_TIMINGS
        async for event in events:
            match event:
                case PromptProgress():
                    await self._emit(PromptProgressed(event))
                case TextDelta():
                    reply.text += event.text
                    await self._emit(TextStreamed(event.text))
                case ThoughtDelta():
                    reply.thought += len(event.text)
                    await self._emit(ThoughtStreamed(event.text))
                case TextWasThought():
                    reply.thought, reply.text = reply.thought + len(reply.text), ""
                    await self._emit(event)
                case ToolCallDelta():
                    call = reply.add_call(event)
                    await self._emit(ToolCallStreamed(call.id, call.name, call.arguments))
                case TokensChosen(tokens):
                    reply.chances += tokens
                case ReplyProgress():
                    # They come with every token.
                    if time.monotonic() >= told_at + _BETWEEN_TIMINGS:
                        told_at = time.monotonic()
                        await self._emit(ReplyProgressed(event.timings))
                case Warned(text):
                    if text not in self._hands.told:
                        self._hands.told.add(text)
                        await self._emit(Noticed(text))
                case Finished():
                    reply.finished = event
            if reply.length > _MAX_CHARACTERS:
                reply.is_runaway = True
                reply.finished = Finished("length")
                return
        if reply.finished is None:
            raise GarbledReply("the model's reply came to no end")

    # Room.

    def _measure(self, finished: Finished) -> None:
        if finished.prompt_tokens is not None:
            self._known_tokens = finished.prompt_tokens + (finished.completion_tokens or 0)
            self._known_messages = len(self._conversation.messages)

    def _tokens(self) -> int:
        messages = self._conversation.messages
        if self._known_messages:
            return self._known_tokens + budget.estimate(messages[self._known_messages :])
        return budget.estimate(messages) + self._hands.fixed_tokens

    async def _make_room(self) -> bool:
        """Compact the conversation if it is about to outgrow the context. False if that does not help."""
        length = self._hands.context_length()
        if length is None or not budget.is_tight(self._tokens(), length):
            return True
        messages = self._conversation.messages
        keep = budget.split(messages, length)
        if compact(self._conversation, keep, length):
            self._known_messages = 0
            await self._emit(Noticed(COMPACTED))
        return self._tokens() <= budget.room(length)

    # The tools.

    async def _do(self, call: ToolCall, written: str) -> int:
        """Carry out one call, whose arguments the model wrote as `written`; returns the loop guard's count."""
        tool = self._hands.toolbox.get(call.name)
        delegate = self._delegate
        context = ToolContext(
            self._hands.workspace,
            self._hands.files,
            self._hands.jobs,
            lambda text: self._emit(ToolOutput(call.id, text)),
            None if delegate is None else lambda prompt: delegate(call.id, prompt),
            say=None if delegate is None else self._hands.recorder.say,
        )
        try:
            if tool is None:
                names = ", ".join(self._hands.toolbox.names)
                raise ToolFailure(f"There is no tool {call.name!r}. There are: {names}.")
            result = await self._run(tool, call, written, context)
        except ToolFailure as error:
            result = ToolResult(str(error), ok=False)
        except OSError as error:
            result = ToolResult(f"It failed: {error}.", ok=False)
        except asyncio.CancelledError:
            wrote = f" It had written {', '.join(context.changed)}." if context.changed else ""
            self._conversation.add(Message("tool", _CANCELLED + wrote, tool_call_id=call.id), ok=False)
            raise
        count = self._guard.note(call, result.text, bool(context.changed))
        shorten = cut_middle if result.ends_matter else cut
        text = shorten(result.text, self._result_limit(), "Ask for less at a time.") + self._guard.warning(
            count
        )
        text += await self._instructions(context.touched)
        told = Message("tool", text, tool_call_id=call.id)
        self._conversation.add(told, ok=result.ok, display=result.display)
        if result.todos is not None:
            self._conversation.plan(result.todos)
        shown = result.display or result.text
        refused = "" if context.has_begun else context.summary
        await self._emit(ToolFinished(call.id, call.name, result.ok, text, shown, refused))
        if result.todos is not None:
            await self._emit(TodosChanged(result.todos))
        if context.changed:
            await self._emit(FilesChanged(tuple(context.changed)))
        return count

    async def _instructions(self, touched: Path | None) -> str:
        """What AGENTS.md files on the way to `touched` say, as far as the model does not have it in view."""
        if touched is None:
            return ""
        root = self._hands.workspace.root
        found = await in_thread(lambda: folder_instructions(root, touched))
        told = [message.content for message in self._conversation.messages]
        new = [text for text in found if not any(text in content for content in told)]
        return "".join(f"\n[{text}]" for text in new)

    def _result_limit(self) -> int:
        """In characters: an eighth of the context, so that no single result can fill it."""
        length = self._hands.context_length()
        return MAX_RESULT_CHARACTERS * 2 if length is None else min(MAX_RESULT_CHARACTERS * 2, length * 3 // 8)

    async def _run(self, tool: Tool[Any], call: ToolCall, written: str, context: ToolContext) -> ToolResult:
        arguments = tool.parse(written)
        context.summary = tool.summary(arguments)
        access = tool.access(arguments, self._hands.workspace)
        if access.location is not None and access.location.is_inside:
            place = access.location.absolute
            context.touched = place if place.is_dir() else place.parent
        permissions = self._hands.permissions
        verdict = permissions.judge(access, tool.name)
        if access.kind == "command" and verdict.decision == "allow":
            allowed = verdict
            verdict, context.hidden = await in_thread(lambda: permissions.keep_hidden(allowed, tool.name))
        given = arguments.model_dump(exclude_defaults=True)
        if verdict.decision == "deny":
            raise ToolFailure(verdict.reason)
        if verdict.decision == "ask":
            summary = await tool.preview(arguments, context)
            beginnings = verdict.rules_to_keep
            keep = "allow " + " and ".join(f"`{text} …`" for text in beginnings) if beginnings else ""
            request = PermissionRequest(
                call.id, call.name, given, summary, verdict.reason, verdict.always, keep
            )
            answer = await self._hands.asker.ask(request)
            grants = verdict.grants if answer.answer in ("always", "keep") else ()
            if answer.answer == "keep":
                await self._keep_rules(tool.name, beginnings)
            self._conversation.decide(summary, answer.answer, answer.comment, grants)
            if answer.answer == "deny":
                said = f" The user says: {answer.comment}" if answer.comment.strip() else ""
                raise ToolFailure(f"Not done: the user declined this call.{said}")
            permissions.grant(grants)
        context.is_sandboxed = not verdict.is_approved
        context.is_hidden = permissions.hidden(tool.name)
        context.has_local_servers = permissions.allows_local_servers
        if context.is_sandboxed and not self.has_warned and await in_thread(find_sandbox) is None:
            self.has_warned = True
            await self._emit(Noticed(NO_SANDBOX))
        await self._emit(ToolStarted(call.id, call.name, given, context.summary))
        context.has_begun = True
        # What these changed is found afterwards; the other tools tell review beforehand.
        changes_unseen = access.kind in ("command", "mcp")
        if changes_unseen:
            await self._note_what_is(access)
        await in_thread(lambda: self._hands.recorder.begin_call(call.id))
        result: ToolResult = await tool.run(arguments, context)
        if result.was_confined:
            result = await run_again(
                PermissionRequest(call.id, call.name, given, context.summary, ""),
                result,
                context,
                permissions,
                run=lambda: tool.run(arguments, context),
                ask=self._ask_for_more,
                notice=lambda text: self._emit(Noticed(text)),
            )
        if changes_unseen:
            context.changed += await self._find_what_changed()
        return result

    async def _ask_for_more(self, request: PermissionRequest) -> PermissionAnswer:
        answer = await self._hands.asker.ask(request)
        what = "with local servers" if answer.answer == "always" else "outside the sandbox"
        self._conversation.decide(f"{request.summary} ({what})", answer.answer, answer.comment, ())
        return answer

    async def _keep_rules(self, tool: str, beginnings: Sequence[str]) -> None:
        rules = [Rule("allow", tool, command=text) for text in beginnings]
        try:
            await in_thread(lambda: remember_rules(rules))
        except BadSettings as error:
            await self._emit(Noticed(f"The rule was not kept: {error}."))

    async def _note_what_is(self, access: Access) -> None:
        root, at, recorder = self._hands.workspace.root, access.location, self._hands.recorder
        try:
            named = await in_thread(lambda: named_files(access.command, at.absolute, root)) if at else ()
            await in_thread(lambda: recorder.command_started(named))
        except TidegateError as error:
            await self._emit(Noticed(f"What this changes is not under review: {error}."))

    async def _find_what_changed(self) -> tuple[str, ...]:
        still_runs = self._hands.jobs.are_running
        try:
            return await in_thread(lambda: self._hands.recorder.command_finished(still_runs))
        except TidegateError as error:
            await self._emit(Noticed(f"What the command changed is not under review: {error}."))
            return ()
