"""Published clients, each in a small conversation with a server: `clients.py NAME URL`, in an environment that
has them. The server's replies are prepared (tests/mlx_model/server/wires/test_clients.py); what arrives is
printed as JSON."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

KEY = "sesame"


def agents(url: str) -> Any:
    """openai-agents: a tool, on both of OpenAI's wires, streamed and not."""
    import agents as sdk  # noqa: PLC0415
    from openai import AsyncOpenAI  # noqa: PLC0415

    sdk.set_tracing_disabled(True)
    client = AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)

    @sdk.function_tool
    def read_file(file_path: str) -> str:
        """Reads a file."""
        return f"text of {file_path}"

    async def run() -> Any:
        said = []
        for kind in (sdk.OpenAIResponsesModel, sdk.OpenAIChatCompletionsModel):
            agent = sdk.Agent(name="a", model=kind("any", client), tools=[read_file])
            said.append((await sdk.Runner.run(agent, "hi")).final_output)
            streamed = sdk.Runner.run_streamed(agent, "hi")
            events = [event.type async for event in streamed.stream_events()]
            said += [streamed.final_output, "raw_response_event" in events]
        return said

    return asyncio.run(run())


def pydantic_ai(url: str) -> Any:
    """pydantic-ai: structured output by a tool and by a schema; a tool, streamed too, on Anthropic's wire."""
    from pydantic import BaseModel  # noqa: PLC0415
    from pydantic_ai import Agent, NativeOutput  # noqa: PLC0415
    from pydantic_ai.models.anthropic import AnthropicModel  # noqa: PLC0415
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415
    from pydantic_ai.providers.anthropic import AnthropicProvider  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    class City(BaseModel):
        """A city."""

        name: str
        people: int

    model = OpenAIChatModel("any", provider=OpenAIProvider(base_url=f"{url}/v1", api_key=KEY))
    said: list[Any] = [Agent(model, output_type=City).run_sync("hi").output.model_dump()]
    said.append(Agent(model, output_type=NativeOutput(City)).run_sync("hi").output.model_dump())
    claude = AnthropicModel("any", provider=AnthropicProvider(base_url=url, api_key=KEY))
    agent = Agent(claude)

    @agent.tool_plain
    def read_file(file_path: str) -> str:
        """Reads a file."""
        return f"text of {file_path}"

    async def streamed() -> Any:
        async with agent.run_stream("hi") as stream:
            return await stream.get_output()

    return [*said, agent.run_sync("hi").output, asyncio.run(streamed())]


def litellm(url: str) -> Any:
    """litellm: Chat Completions and Messages, streamed, with a tool."""
    import litellm as library  # noqa: PLC0415

    parameters = {"type": "object", "properties": {"file_path": {"type": "string"}}, "required": ["file_path"]}
    tool = {
        "type": "function",
        "function": {"name": "read_file", "description": "Reads.", "parameters": parameters},
    }
    said: list[Any] = []
    for model, base in (("openai/any", f"{url}/v1"), ("anthropic/any", url)):
        ask: dict[str, Any] = {"model": model, "api_base": base, "api_key": KEY, "max_tokens": 300}
        ask |= {"messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
        call = library.completion(**ask).choices[0].message.tool_calls[0]
        said.append([call.function.name, json.loads(call.function.arguments)])
        chunks = list(library.completion(**ask, stream=True))
        said.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices))
    return said


def llm(url: str) -> Any:
    """llm: a schema, by its command line."""
    folder = Path(os.environ["LLM_USER_PATH"])
    entry = f"- model_id: local\n  model_name: any\n  api_base: {url}/v1\n  supports_schema: true\n"
    (folder / "extra-openai-models.yaml").write_text(entry)
    command = [str(Path(sys.executable).with_name("llm")), "-m", "local", "--key", KEY]
    written = [["--schema", "name, people int", "A city"], ["--no-stream", "hi"], ["hi"]]
    return [
        subprocess.run([*command, *more], capture_output=True, text=True, check=True).stdout for more in written
    ]


def mini(url: str) -> Any:
    """mini-swe-agent: runs a command and submits."""
    command = [str(Path(sys.executable).with_name("mini")), "-y", "--exit-immediately", "-m", "openai/any"]
    command += ["-t", "make a file", "-o", os.environ["TRAJECTORY"], "-c", "mini.yaml"]
    command += ["-c", f"model.model_kwargs.api_base={url}/v1", "-c", f"model.model_kwargs.api_key={KEY}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    print(ended.stdout[-3000:], ended.stderr[-3000:], file=sys.stderr)
    return Path("made.txt").read_text()


if __name__ == "__main__":
    clients = {each.__name__: each for each in (agents, pydantic_ai, litellm, llm, mini)}
    print(json.dumps(clients[sys.argv[1]](sys.argv[2])))
