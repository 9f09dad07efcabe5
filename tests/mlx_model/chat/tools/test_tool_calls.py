"""Tool calls out of a stream: exact for what is well written, and for anything else nothing lost or leaked."""

import json
import re
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mlx_model.chat.tools.parser import ToolCallParser
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, ReplyPart, VisibleText

SCHEMAS = {
    "edit": {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "text": {"type": "string"},
            "count": {"type": "integer"},
            "all": {"type": "boolean"},
            "ratio": {"type": "number"},
            "items": {"type": "array"},
            "options": {"type": ["object", "null"]},
        },
    },
    "list": {"type": "object", "properties": {}},
}
TAGS = ["<tool_call>", "</tool_call>", "</function>", "</parameter>", "<function=edit>", "<function=list>"]
TAGS += [f"<parameter={key}>" for key in SCHEMAS["edit"]["properties"]]


class Reply:
    """What a client puts together of a parser's parts."""

    def __init__(self, parts: Iterable[ReplyPart]) -> None:
        self.text = ""
        self.names: list[str] = []
        self.raw: list[str] = []
        for part in parts:
            match part:
                case VisibleText(text):
                    self.text += text
                case CallOpened(index, _, name):
                    assert index == len(self.names)
                    self.names.append(name)
                    self.raw.append("")
                case CallArguments(index, fragment):
                    self.raw[index] += fragment

    @property
    def arguments(self) -> list[object]:
        return [json.loads(raw) for raw in self.raw]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(vars(self))


def parse(chunks: Iterable[str], truncated: bool = False) -> Reply:
    parser = ToolCallParser(SCHEMAS, lambda: "id")
    parts = [part for chunk in chunks for part in parser.feed(chunk)]
    return Reply([*parts, *parser.finish(truncated)])


def call(name: str, **parameters: str) -> str:
    written = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters.items())
    return f"<tool_call>\n<function={name}>\n{written}</function>\n</tool_call>"


def test_a_call_with_text_before_it() -> None:
    reply = parse(
        ["I will look.\n\n" + call("edit", path="a b.py", text="x\n", count="3", all="True", ratio="0.5")]
    )
    assert reply.text == "I will look."
    assert reply.names == ["edit"]
    assert reply.arguments == [{"path": "a b.py", "text": "x\n", "count": 3, "all": True, "ratio": 0.5}]


def test_values_that_are_not_of_their_type_stay_what_was_written() -> None:
    reply = parse([call("edit", count="three", items="[1, {'a': None}]", options="null", all="maybe")])
    assert reply.arguments == [{"count": "three", "items": [1, {"a": None}], "options": None, "all": "maybe"}]
    # JSON has numbers that no float can hold, and no words for those that are none.
    reply = parse([call("edit", items="[1e999]", options='{"a": NaN}')])
    assert reply.raw == ['{"items": [1e999], "options": "{\\"a\\": NaN}"}']


def test_strings_stream_as_they_arrive() -> None:
    parser = ToolCallParser(SCHEMAS)
    parser.feed("<tool_call>\n<function=edit>\n<parameter=text>\n")
    assert parser.feed('say "hi"') == [CallArguments(0, 'say \\"hi\\"')]


def test_what_models_also_write() -> None:
    whole = parse([call("edit", path="p", text="t")])
    assert whole.arguments == [{"path": "p", "text": "t"}]
    body = "<function=edit>\n<parameter=path>\np\n</parameter>\n<parameter=text>\nt\n</parameter>\n"
    unclosed = body.replace("</parameter>\n", "")
    doubled = body.replace("</parameter>", "</parameter>\n</parameter>")
    for written in (
        f"{body}</function>\n</tool_call>",
        f"<tool_call>\n{body}",
        f"<tool_call>\n{body}</function>",
        f"<tool_call>\n{body}</tool_call>",
        body.removesuffix("</parameter>\n"),
        f"<tool_call>{body}</parameter>\n</function>\n</tool_call>\n",
        f"<tool_call>\n{doubled}</function></tool_call>",
        f"<tool_call>\n{unclosed}</function>\n</tool_call>",
        '<tool_call>\n<function=edit>\n{"path": "p", "text": "t"}\n</function>\n</tool_call>',
        '<tool_call>\n{"name": "edit", "arguments": {"path": "p", "text": "t"}}\n</tool_call>',
    ):
        assert parse([written]) == parse(written)
        reply = parse([written])
        assert (reply.text, reply.names, reply.arguments) == (whole.text, whole.names, whole.arguments), written
    assert parse(["<tool_call>\n<function=list>\n</function>\n</tool_call>"]).arguments == [{}]
    two = parse([call("list") + "\n" + call("edit", path="p")])
    assert (two.names, two.arguments, two.text) == (["list", "edit"], [{}, {"path": "p"}], "")


def test_closing_tags_inside_a_value_are_part_of_it() -> None:
    text = (
        "<parameter=x>\n</parameter>\nand </function> or </tool_call> too\n<function=list>\n<parameter=text>\n"
    )
    assert parse(call("edit", text=text)).arguments == [{"text": text}]


def test_prose_about_tags_is_prose() -> None:
    prose = (
        "A call opens with `<tool_call>`, `<function=edit>`; a < b, </parameter> and <function=other> are not."
    )
    assert parse(prose) == parse([prose])
    assert parse([prose]).text == prose
    assert parse([prose]).names == []


def test_half_a_call_does_not_look_like_a_whole_one() -> None:
    written = call("edit", path="p", text="first line\nsecond line")
    cut = written[: written.index("second")]
    assert parse([cut]).arguments == [{"path": "p", "text": "first line"}]
    (raw,) = parse([cut], truncated=True).raw
    assert raw == '{"path": "p", "text": "first line'


plain = st.text(st.characters(codec="utf-8", exclude_characters="<`"), max_size=30)
value = st.one_of(plain, st.text("<>/=\n pa`", max_size=20)).filter(lambda text: "</p" not in text)


@given(before=plain, calls=st.lists(st.dictionaries(st.sampled_from(["path", "text"]), value), max_size=3))
def test_well_written_calls_come_back_exactly(before: str, calls: list[dict[str, str]]) -> None:
    reply = parse([before + "\n".join(call("edit", **parameters) for parameters in calls)])
    assert reply.text == (before.rstrip() if calls else before)
    assert reply.arguments == calls


pieces = st.one_of(st.sampled_from([*TAGS, "\n", " ", "`", "{}", '{"path": 1}', "12", "\r\n"]), plain)


@given(
    written=st.one_of(
        st.lists(pieces, max_size=25).map("".join),
        st.dictionaries(st.sampled_from(["path", "count", "items"]), value).map(
            lambda parameters: call("edit", **parameters)
        ),
    ),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    dropped=st.lists(st.integers(0, 20), max_size=3),
    truncated=st.booleans(),
)
def test_any_stream_in_any_pieces(written: str, cuts: list[int], dropped: list[int], truncated: bool) -> None:
    # Mutated: some of the tags are taken away.
    parts = re.split(r"(<[^<>]*>)", written)
    written = "".join(part for number, part in enumerate(parts) if number not in [2 * d + 1 for d in dropped])
    whole = parse([written], truncated)
    borders = sorted({0, len(written), *(cut for cut in cuts if cut < len(written))})
    assert parse([written[a:b] for a, b in pairwise(borders)], truncated) == whole
    assert parse(written, truncated) == whole
    if not truncated:
        assert all(isinstance(arguments, dict) for arguments in whole.arguments)
    # A tag on a line of its own is one, unless it is quoted.
    assert "```" in written or not re.search(r"(?m)^\s*</?tool_call>\s*$", whole.text)
    # Nothing is lost: every character that is not a tag or white space shows up again.
    kept = whole.text + "".join(whole.raw) + "".join(whole.names)
    for word in re.findall(r"[a-z0-9]{3,}", re.sub(r"<[^<>]*>", " ", written)):
        assert word in kept
