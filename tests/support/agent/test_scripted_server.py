"""The stand-in server, against the official OpenAI client: what it says must be Chat Completions."""

import openai
import pytest

from tests.support.agent.scripted_server import Drop, Gate, HttpError, call, reply


def ask(server, **more):
    client = openai.OpenAI(base_url=server.url, api_key="x", max_retries=0)
    return client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=True, **more
    )


def test_openai_client_reads_text_and_calls(scripted_server):
    server = scripted_server(reply("I will look at it.", call("read_file", file_path="a.py", offset=3)))
    chunks = list(ask(server, stream_options={"include_usage": True}))
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "I will look at it."
    calls = [entry for delta in deltas for entry in delta.tool_calls or ()]
    assert calls[0].function.name == "read_file"
    assert "".join(entry.function.arguments for entry in calls) == '{"file_path": "a.py", "offset": 3}'
    assert chunks[-1].usage.completion_tokens > 0
    assert server.requests[0]["messages"] == [{"role": "user", "content": "hi"}]


def test_misbehaviour_is_seen_by_the_client(scripted_server):
    server = scripted_server(reply("half", Drop()), HttpError(500))
    with pytest.raises(openai.APIConnectionError):
        list(ask(server))
    with pytest.raises(openai.InternalServerError):
        ask(server)


async def test_a_gate_holds_and_a_leaving_client_is_noticed(scripted_server):
    gate = Gate()
    server = scripted_server(reply("before", gate, "after"))
    client = openai.AsyncOpenAI(base_url=server.url, api_key="x", max_retries=0)
    stream = await client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=True
    )
    await gate.wait_reached()
    await stream.close()
    await client.close()
    await server.wait_for(lambda s: s.disconnects == 1)
