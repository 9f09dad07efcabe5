"""Masks of the tokens that may come next in a reply: any in free text, what the grammar admits from the token
on that opens a call, and in a value that any text fits all but the control tokens (see call_text)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

from mlx_model.chat.tools.call_text import CLOSE, END, MARK, OPEN, CallText, Read, ToolForm
from mlx_model.chat.tools.edits.exact_edits import EditedFile, Files
from mlx_model.chat.tools.edits.quotation import Quotation
from mlx_model.chat.tools.prose import Prose
from mlx_model.chat.tools.token_trie import TokenTrie

Mask = NDArray[np.bool_]

_RISKY = re.compile(rb"</parameter>\n.|<parameter=.", re.DOTALL)
_FUNCTION, _PARAMETER, _CLOSING = "\n<function=", "<parameter=", "</"


class CallTokens:
    """A vocabulary as calls need it. Text is bytes as Latin-1 here: one character a byte."""

    def __init__(
        self, library: LLTokenizer, texts: Sequence[bytes], trie: TokenTrie, control: Mapping[str, int]
    ) -> None:
        """`texts`: the bytes of every token, none for control tokens; `control`: the control tokens that are
        visible in a reply, `<tool_call>` and `</tool_call>` among them."""
        self.texts = texts
        self.opening, self.closing = control[OPEN], control[CLOSE]
        self._control = {token: text for text, token in control.items()}
        self._library = library
        self._trie = trie
        self.spelled = np.array([bool(text) for text in texts], dtype=np.bool_)
        """Which tokens have text."""
        self.risky = [token for token, text in enumerate(texts) if _RISKY.search(text)]
        """Tokens with which a value may end and more follow."""

    @property
    def size(self) -> int:
        """The number of token ids."""
        return len(self.texts)

    def text(self, token: int) -> str:
        """A token's text; that of a control token is marked."""
        control = self._control.get(token)
        return self.texts[token].decode("latin-1") if control is None else MARK + control

    def beyond(self, text: str) -> list[int]:
        """The tokens that begin with a text and are longer."""
        return self._trie.beyond(text.encode("latin-1"))

    def beginning(self, text: str) -> list[int]:
        """The tokens that begin with a text."""
        node = self._trie.node(text.encode("latin-1"))
        alone = [self._trie.token[node]] if node > 0 and self._trie.token[node] >= 0 else []
        return [*alone, *self.beyond(text)]

    def feed(self, matcher: LLMatcher, text: str) -> bool:
        """Has a matcher take a text in; whether it fits."""
        tokens = self._library.tokenize_bytes(text.encode("latin-1"))
        return bool(matcher.try_consume_tokens(tokens) == len(tokens))


@dataclass(frozen=True, slots=True)
class CallRules:
    """What calls are held to. `matcher`: of the grammar from after `<tool_call>`, at its start; by tool,
    `forms` and `free`: its parameters, and those whose values any text fits; all names as CallTokens has
    text."""

    matcher: LLMatcher
    forms: Mapping[str, ToolForm]
    free: Mapping[str, frozenset[str]]
    files: Files = field(default_factory=dict)
    """Texts that edits have to quote."""


@dataclass(slots=True)
class _Call:
    """The beginning of a call. While it is `tentative`, it may turn out to be text about calls. The matcher has
    taken in all but values that any text fits and quotations."""

    matcher: LLMatcher
    text: CallText
    edited: EditedFile
    tentative: str | None = None
    """The text since the opening token; None: it is a call."""
    is_free: bool = False
    """Whether the next text belongs to a value that any text fits."""
    quotation: Quotation | None = None

    def copy(self) -> "_Call":
        return replace(self, matcher=self.matcher.deep_copy(), text=self.text.copy())


class GrammarConstraint:
    """Implements decode.request.Constraint for one reply."""

    def __init__(self, tokens: CallTokens, rules: CallRules, required: bool = False) -> None:
        """With `required` the first token can only be the one that opens a call."""
        self._tokens = tokens
        self._rules = rules
        self._prose = Prose()
        self._call: _Call | None = None
        self._awaits_call = required

    @property
    def active(self) -> bool:
        return self._awaits_call or (self._call is not None and self._call.tentative is None)

    def advance(self, token: int) -> None:
        self._awaits_call = False
        if not self._took(token):
            self._call, self._prose = None, Prose()

    def mask(self) -> Mask:
        if self._awaits_call:
            mask = np.zeros(self._tokens.size, dtype=np.bool_)
            mask[self._tokens.opening] = True
            return mask
        call = self._call
        if call is None or call.tentative is not None:
            return np.ones(self._tokens.size, dtype=np.bool_)
        if call.quotation is not None:
            return call.quotation.mask()
        return self._free_mask(call) if call.is_free else self._held_mask(call)

    def check(self, drafts: Sequence[int]) -> tuple[int, Mask | None]:
        ahead = GrammarConstraint(self._tokens, self._rules, self._awaits_call)
        ahead._prose, ahead._call = self._prose.copy(), self._call and self._call.copy()
        rows = [ahead.mask()]
        constrained = ahead.active
        for token in drafts:
            if not rows[-1][token]:
                break
            ahead._awaits_call = False
            if not ahead._took(token):
                break
            rows.append(ahead.mask())
            constrained = constrained or ahead.active
        return len(rows) - 1, np.stack(rows) if constrained else None

    def _took(self, token: int) -> bool:
        """Takes a token in; whether it fits."""
        call = self._call
        if call is None:
            self._in_prose(token)
            return True
        if call.quotation is not None:
            return self._in_quotation(call, call.quotation, token)
        return self._in_free_value(call, token) if call.is_free else self._in_grammar(call, token)

    def _in_prose(self, token: int) -> None:
        prose = self._prose
        if token != self._tokens.opening or prose.is_fenced:
            prose.add(self._tokens.text(token).removeprefix(MARK))
            return
        is_certain = prose.begins_line
        self._call = _Call(
            self._rules.matcher.deep_copy(),
            CallText(self._rules.forms),
            EditedFile(self._rules.files),
            None if is_certain else "",
        )

    def _in_quotation(self, call: _Call, quotation: Quotation, token: int) -> bool:
        after = quotation.after(self._tokens.texts[token])
        if after is None:
            return False
        self._note(call, call.text.add(self._tokens.text(token)))
        call.quotation = after
        if after.is_over:
            call.quotation = None
            self._tokens.feed(call.matcher, END)
        return True

    def _in_free_value(self, call: _Call, token: int) -> bool:
        if token == self._tokens.closing:
            fits = call.text.may_close
            if fits:
                self._call, self._prose = None, Prose()
            return fits
        if not self._tokens.spelled[token]:
            return False
        read = call.text.add(self._tokens.text(token))
        if call.text.strayed:
            return False
        begun = [at for at, item in enumerate(read) if item.kind == "begin"]
        for at in begun:
            # The matcher has not seen the value; for it any will do.
            self._tokens.feed(call.matcher, f"{END}<parameter={read[at].key}>\n")
        self._note(call, read)
        if not begun or call.is_free:
            return True
        beyond = _beyond(read, begun[-1], call.text)
        return not beyond or (call.quotation is None and self._tokens.feed(call.matcher, beyond))

    def _in_grammar(self, call: _Call, token: int) -> bool:
        text = call.text.copy()
        written = self._tokens.text(token)
        read = text.add(written)
        begun = [at for at, item in enumerate(read) if item.kind == "begin"]
        if begun and (text.key in self._free(text) or call.edited.quotes(text.name, text.key)):
            beyond = _beyond(read, begun[-1], text)
            fits = self._tokens.feed(call.matcher, written[: len(written) - len(beyond)])
        else:
            fits = call.matcher.try_consume_tokens([token]) == 1
        if not fits and call.tentative is not None:
            # It was text about calls.
            self._prose.add(OPEN + call.tentative)
            self._call = None
            self._in_prose(token)
            return True
        if not fits:
            return False
        call.text = text
        if call.tentative is not None:
            call.tentative += written
            if _FUNCTION in call.tentative:
                call.tentative = None
        # The call is closed, or the matcher has reached its limits: then the rest is unconstrained.
        matcher = call.matcher
        if matcher.is_error() or matcher.is_stopped() or matcher.is_accepting():
            self._call, self._prose = None, Prose()
        else:
            self._note(call, read)
        return True

    def _note(self, call: _Call, read: Iterable[Read]) -> None:
        """Sees what was read: the values that edits depend on, and what kind of value is written now."""
        for item in read:
            call.edited = call.edited.after(call.text.name, item)
            if item.kind == "begin":
                quotes = call.edited.quotes(call.text.name, item.key)
                call.quotation = call.edited.quotation() if quotes else None
                call.is_free = not quotes and item.key in self._free(call.text)

    def _free(self, text: CallText) -> frozenset[str]:
        return self._rules.free.get(text.name, frozenset())

    def _free_mask(self, call: _Call) -> Mask:
        line = None if call.text.is_nested else call.text.structure
        doubtful = self._tokens.risky
        if line is not None and line.startswith(_PARAMETER):
            # The value has ended; the matcher has not seen it, and for it any will do.
            matcher = call.matcher.deep_copy()
            self._tokens.feed(matcher, END + line)
            mask = self._matcher_mask(matcher)
            edited = call.edited.after(call.text.name, Read("end", "", call.text.key))
            self._remove_beyond(mask, call, edited, line)
        else:
            mask = self._tokens.spelled.copy()
            for tag in (_PARAMETER, _CLOSING) if line is not None else ():
                if tag != line and tag.startswith(line or ""):
                    doubtful = [*doubtful, *self._tokens.beginning(tag[len(line or "") :])]
        for token in doubtful:
            mask[token] = bool(mask[token]) and self._would_take(token)
        mask[self._tokens.closing] = call.text.may_close
        return mask

    def _held_mask(self, call: _Call) -> Mask:
        mask = self._matcher_mask(call.matcher)
        line = call.text.pending if call.text.phase == "body" else call.text.structure
        if line is not None:
            self._remove_beyond(mask, call, call.edited, line)
        return mask

    def _remove_beyond(self, mask: Mask, call: _Call, edited: EditedFile, line: str) -> None:
        """Removes tokens that go on behind the line that begins a quotation, which must begin with a token."""
        for key in call.text.form.keys:
            whole = f"<parameter={key}>\n"
            if edited.quotes(call.text.name, key) and whole.startswith(line) and whole != line:
                mask[self._tokens.beyond(whole[len(line) :])] = False

    def _matcher_mask(self, matcher: LLMatcher) -> Mask:
        size = self._tokens.size
        bits: NDArray[Any] = allocate_token_bitmask(1, size)
        fill_next_token_bitmask(matcher, bits)
        return np.unpackbits(bits.view(np.uint8)[0], bitorder="little")[:size].astype(np.bool_)

    def _would_take(self, token: int) -> bool:
        ahead = GrammarConstraint(self._tokens, self._rules)
        ahead._call = self._call and self._call.copy()
        return ahead._took(token)


def _beyond(read: Sequence[Read], begun: int, text: CallText) -> str:
    """What follows the line that begins a parameter, the item `begun` of what was read."""
    return "".join(item.text for item in read[begun + 1 :]) + text.rest
