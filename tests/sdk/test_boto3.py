"""Amazon's and Anthropic's SDKs on Bedrock through midstream: Converse, InvokeModel with Claude, embeddings."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import anthropic
import boto3
import pytest
from anthropic import AnthropicBedrock, DefaultHttpxClient
from botocore.config import Config
from botocore.exceptions import ClientError

from proxy.demo.answers import Answer, says
from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import KEY, PERMIT_ALL, Lines
from tests.sdk.contract import SECRET, TOOLS, WORDS, Contract, Told, prompt
from tests.sdk.lines import Line
from tests.serving import GUARDED

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
TITAN = "amazon.titan-embed-text-v2:0"
TOOL_CONFIG = {"tools": [{"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}} for name in TOOLS]}
CLAUDE_TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in TOOLS]


@pytest.fixture(autouse=True)
def _no_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of this machine; a Bedrock API key, which binds no body. SigV4 has tests of its own below."""
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    for name in ("AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)


@cache
def _session() -> boto3.Session:
    """One for all: it holds the descriptions of Amazon's services, which take long to read."""
    return boto3.Session(region_name="us-east-1")


@contextmanager
def _client(line: Line, **credentials: str) -> Iterator[Any]:
    config = Config(proxies={"https": line.proxy}, retries={"total_max_attempts": 3})
    client = _session().client("bedrock-runtime", verify=str(line.ca_file), config=config, **credentials)
    client.meta.events.register("before-send.bedrock-runtime", line.count)
    try:
        yield client
    finally:
        client.close()


class TestConverse(Contract):
    """`POST /model/…/converse` and `/converse-stream`."""

    ended, calling = "end_turn", "tool_use"
    refused = ClientError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        asked = {"messages": [{"role": "user", "content": [{"text": prompt}]}], "toolConfig": TOOL_CONFIG}
        with _client(line) as client:
            if streaming:
                return _assembled(list(client.converse_stream(modelId=CLAUDE, **asked)["stream"]))
            return _converse(client.converse(modelId=CLAUDE, **asked))

    def give(self, line: Line, name: str, result: str) -> Told:
        use = {"toolUse": {"toolUseId": "call_1", "name": name, "input": {"city": "Paris"}}}
        given = {"toolResult": {"toolUseId": "call_1", "content": [{"text": result}]}}
        history = [
            {"role": "user", "content": [{"text": "Look."}]},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [given]},
        ]
        with _client(line) as client:
            return _converse(client.converse(modelId=CLAUDE, messages=history, toolConfig=TOOL_CONFIG))


def _converse(response: dict[str, Any]) -> Told:
    content = response["output"]["message"]["content"]
    text = "".join(block["text"] for block in content if "text" in block)
    calls = [(block["toolUse"]["name"], block["toolUse"]["input"]) for block in content if "toolUse" in block]
    return Told(text, calls, response["stopReason"], response)


def _assembled(events: list[dict[str, Any]]) -> Told:
    """By block, as the examples of AWS's documentation do; a block that was not stopped is none."""
    text, calls, stop = "", [], None
    names: dict[int, str] = {}
    inputs: dict[int, str] = {}
    for event in events:
        match event:
            case {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": use}}}:
                names[index], inputs[index] = use["name"], ""
            case {"contentBlockDelta": {"delta": {"text": piece}}}:
                text += piece
            case {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": {"input": piece}}}}:
                inputs[index] += piece
            case {"contentBlockStop": {"contentBlockIndex": index}} if index in names:
                calls.append((names[index], json.loads(inputs[index])))
            case {"messageStop": {"stopReason": reason}}:
                stop = reason
    return Told(text, calls, stop, events)


class TestInvokeByBoto(Contract):
    """`POST /model/anthropic…/invoke` and `/invoke-with-response-stream`, the body in Claude's format."""

    ended, calling = "end_turn", "tool_use"
    refused = ClientError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        body = _claude_body([{"role": "user", "content": prompt}])
        with _client(line) as client:
            if not streaming:
                return _message(client.invoke_model(modelId=CLAUDE, body=body)["body"].read())
            frames = list(client.invoke_model_with_response_stream(modelId=CLAUDE, body=body)["body"])
        return _claude_events([json.loads(frame["chunk"]["bytes"]) for frame in frames])

    def give(self, line: Line, name: str, result: str) -> Told:
        with _client(line) as client:
            return _message(
                client.invoke_model(modelId=CLAUDE, body=_claude_body(_history(name, result)))["body"].read()
            )


def _history(name: str, result: str) -> list[dict[str, Any]]:
    use = {"type": "tool_use", "id": "call_1", "name": name, "input": {"city": "Paris"}}
    given = {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": result}]}
    return [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [given]},
    ]


def _claude_body(messages: list[dict[str, Any]]) -> str:
    asked = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": messages, "tools": CLAUDE_TOOLS}
    return json.dumps(asked)


def _message(body: bytes) -> Told:
    message = json.loads(body)
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    calls = [(block["name"], block["input"]) for block in message["content"] if block["type"] == "tool_use"]
    return Told(text, calls, message["stop_reason"], message)


def _claude_events(events: list[dict[str, Any]]) -> Told:
    text, calls, stop = "", [], None
    for event in events:
        match event:
            case {"type": "content_block_start", "content_block": {"type": "tool_use", "name": name}}:
                calls.append((name, ""))
            case {"delta": {"type": "text_delta", "text": piece}}:
                text += piece
            case {"delta": {"type": "input_json_delta", "partial_json": piece}}:
                calls[-1] = (calls[-1][0], calls[-1][1] + piece)
            case {"delta": {"stop_reason": reason}}:
                stop = reason
    return Told(text, [(name, json.loads(written)) for name, written in calls], stop, events)


class TestInvokeByAnthropic(Contract):
    """The same endpoints as Anthropic's own SDK uses them."""

    ended, calling = "end_turn", "tool_use"
    refused = anthropic.BadRequestError

    def _client(self, line: Line) -> Any:
        return AnthropicBedrock(api_key=KEY, aws_region="us-east-1", http_client=DefaultHttpxClient(**line.httpx))

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        asked = {"messages": [{"role": "user", "content": prompt}], "tools": CLAUDE_TOOLS}
        with self._client(line) as client:
            if not streaming:
                return self._told(client.messages.create(model=CLAUDE, max_tokens=9, **asked))
            with client.messages.stream(model=CLAUDE, max_tokens=9, **asked) as stream:
                return self._told(stream.get_final_message())

    def give(self, line: Line, name: str, result: str) -> Told:
        with self._client(line) as client:
            history = _history(name, result)
            return self._told(client.messages.create(model=CLAUDE, max_tokens=9, messages=history, tools=CLAUDE_TOOLS))

    def _told(self, message: Any) -> Told:
        text = "".join(block.text for block in message.content if block.type == "text")
        calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
        return Told(text, calls, message.stop_reason, message.model_dump(warnings=False))


# SigV4


SIGNED = {"aws_access_key_id": "AKID" + "OFNOBODY", "aws_secret_access_key": "secret-of-nobody"}


@pytest.fixture
def _signing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK")


def _ask_signed(line: Line, text: str) -> Any:
    with _client(line, **SIGNED) as client:
        return client.converse(modelId=CLAUDE, messages=[{"role": "user", "content": [{"text": text}]}])


@pytest.mark.usefixtures("_signing")
def test_a_signed_request_goes_up_as_it_was_signed(lines: Lines, stand_in: StandIn) -> None:
    stand_in.scenario = lambda _: says(*WORDS)
    answer = _ask_signed(lines(GUARDED), "Nothing to hide.")
    assert _converse(answer).text == "".join(WORDS)
    (request,) = stand_in.requests
    authorization = request.header("authorization") or ""
    assert authorization.startswith("AWS4-HMAC-SHA256")
    signed = authorization.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    assert not [name for name in signed if request.header(name) is None]


@pytest.mark.usefixtures("_signing")
def test_a_signed_request_that_would_be_edited_is_refused(lines: Lines, stand_in: StandIn) -> None:
    """Its signature binds the body: AWS would refuse the edited one, and the agent would not learn why."""
    line = lines(GUARDED)
    with pytest.raises(ClientError, match="sign"):
        _ask_signed(line, f"The key is {SECRET}.")
    assert line.sent == 1
    assert stand_in.requests == []


# Embeddings


def test_embeddings(straight: Line, lines: Lines, stand_in: StandIn) -> None:
    stand_in.scenario = lambda _: Answer(())
    for line in (straight, lines(PERMIT_ALL), lines(GUARDED)):
        with _client(line) as client:
            made = client.invoke_model(modelId=TITAN, body=json.dumps({"inputText": f"Key {SECRET}"}))
            assert json.loads(made["body"].read())["embedding"] == [0.25, -0.5, 1.0]
    one, two, three = stand_in.requests
    assert one.body == two.body
    assert SECRET not in three.text
    assert prompt(three, "Key ").startswith("Key [REDACTED")
