"""OpenAI's SDK and its Responses API through midstream, and its embeddings."""

import json
from typing import Any

import openai
import pytest
from openai import DefaultHttpxClient, OpenAI

from proxy.demo.answers import Answer, Text, says
from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import KEY, OPENAI_MODEL, PERMIT_ALL, Lines
from tests.sdk.contract import READ_ENV, SECRET, TOOLS, Contract, Told
from tests.sdk.lines import Line
from tests.serving import GUARDED

OFFERED = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in TOOLS]


def _client(line: Line) -> Any:
    return OpenAI(api_key=KEY, http_client=DefaultHttpxClient(**line.httpx))


def _told(response: Any, whole: Any) -> Told:
    calls = [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"]
    return Told(response.output_text, calls, response.status, whole)


class TestResponses(Contract):
    """`POST /v1/responses`."""

    ended = calling = "completed"
    refused = openai.BadRequestError

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        with _client(line) as client:
            if not streaming:
                response = client.responses.create(model=OPENAI_MODEL, input=prompt, tools=OFFERED)
                return _told(response, response.model_dump(warnings=False))
            with client.responses.stream(model=OPENAI_MODEL, input=prompt, tools=OFFERED) as stream:
                events = list(stream)
                told = _told(stream.get_final_response(), [event.model_dump(warnings=False) for event in events])
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert "".join(deltas) == told.text  # every copy of a text says the same
        return told

    def give(self, line: Line, name: str, result: str) -> Told:
        call = {"type": "function_call", "call_id": "call_1", "name": name, "arguments": '{"city":"Paris"}'}
        output = {"type": "function_call_output", "call_id": "call_1", "output": result}
        with _client(line) as client:
            history = [{"role": "user", "content": "Look."}, call, output]
            response = client.responses.create(model=OPENAI_MODEL, input=history, tools=OFFERED)
        return _told(response, response.model_dump(warnings=False))


@pytest.mark.parametrize("policy", [PERMIT_ALL, GUARDED], ids=["permitted", "guarded"])
def test_events_stay_numbered_without_a_gap(lines: Lines, stand_in: StandIn, policy: str) -> None:
    stand_in.scenario = lambda _: Answer((Text("I will ", "read it."), READ_ENV))
    with _client(lines(policy)) as client:
        events = list(client.responses.create(model=OPENAI_MODEL, input="Go.", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_no_byte_of_a_stream_holds_the_secret(lines: Lines, stand_in: StandIn) -> None:
    """The text is sent five times; what the SDK leaves unread counts too."""
    stand_in.scenario = lambda _: says("Use ", SECRET[:9], SECRET[9:], " today.")
    with _client(lines(GUARDED)) as client:
        streaming = client.responses.with_streaming_response
        with streaming.create(model=OPENAI_MODEL, input="Go.", stream=True) as response:
            got = b"".join(response.iter_bytes())
    assert SECRET.encode() not in got
    assert SECRET[9:].encode() not in got
    assert got.count(b"[REDACTED") == 5


def test_embeddings(straight: Line, lines: Lines, stand_in: StandIn) -> None:
    for line in (straight, lines(PERMIT_ALL), lines(GUARDED)):
        with _client(line) as client:
            made = client.embeddings.create(model="text-embedding-3-small", input=["Hello.", f"Key {SECRET}"])
        assert [row.embedding for row in made.data] == [[0.25, -0.5, 1.0]] * 2
    one, two, three = stand_in.requests
    assert one.body == two.body
    assert SECRET not in three.text
    assert three.json["input"][0] == "Hello."
