"""Google's SDK through midstream: the Gemini Developer API, Vertex AI, and embeddings."""

from typing import Any, ClassVar

import pytest
from google.genai import Client, errors, types

from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import KEY, PERMIT_ALL, Lines
from tests.sdk.contract import SECRET, TOOLS, Contract, Told
from tests.sdk.lines import Line
from tests.serving import DENYING, GUARDED

MODEL = "gemini-2.5-flash"
CONFIG: Any = {
    "tools": [{"function_declarations": [{"name": name, "parameters": {"type": "OBJECT"}} for name in TOOLS]}],
    "automatic_function_calling": {"disable": True},
}


def _client(line: Line, **options: Any) -> Client:
    return Client(api_key=KEY, http_options=types.HttpOptions(client_args=line.httpx), **options)


def _told(chunks: list[types.GenerateContentResponse]) -> Told:
    text, calls, stop = "", [], None
    for chunk in chunks:
        candidate = (chunk.candidates or [])[0]
        for part in (candidate.content and candidate.content.parts) or ():
            text += part.text or ""
            if part.function_call:
                calls.append((part.function_call.name or "", part.function_call.args))
        stop = candidate.finish_reason or stop
    return Told(text, calls, stop, [chunk.model_dump(exclude={"sdk_http_response"}) for chunk in chunks])


class TestDeveloperApi(Contract):
    """`POST /v1/models/…:generateContent` and `:streamGenerateContent?alt=sse`."""

    ended = calling = types.FinishReason.STOP
    refused = errors.ClientError
    options: ClassVar[dict[str, Any]] = {}

    def ask(self, line: Line, prompt: str, *, streaming: bool) -> Told:
        with _client(line, **self.options) as client:
            if streaming:
                stream = client.models.generate_content_stream(model=MODEL, contents=prompt, config=CONFIG)
                return _told(list(stream))
            return _told([client.models.generate_content(model=MODEL, contents=prompt, config=CONFIG)])

    def give(self, line: Line, name: str, result: str) -> Told:
        call = types.Part.from_function_call(name=name, args={"city": "Paris"})
        given = types.Part.from_function_response(name=name, response={"output": result})
        history = [
            types.Content(role="user", parts=[types.Part.from_text(text="Look.")]),
            types.Content(role="model", parts=[call]),
            types.Content(role="user", parts=[given]),
        ]
        with _client(line, **self.options) as client:
            return _told([client.models.generate_content(model=MODEL, contents=history, config=CONFIG)])


class TestVertex(TestDeveloperApi):
    """`POST /v1beta1/publishers/google/models/…`, with an API key."""

    options: ClassVar[dict[str, Any]] = {"vertexai": True}


def test_a_refusal_says_what_google_s_errors_say(lines: Lines, stand_in: StandIn) -> None:
    with pytest.raises(errors.ClientError) as refused, _client(lines(DENYING)) as client:
        client.models.generate_content(model=MODEL, contents="Go.")
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")


def test_embeddings(straight: Line, lines: Lines, stand_in: StandIn) -> None:
    for line in (straight, lines(PERMIT_ALL), lines(GUARDED)):
        with _client(line) as client:
            made = client.models.embed_content(model="gemini-embedding-001", contents=["Hello.", f"Key {SECRET}"])
        assert [row.values for row in made.embeddings or ()] == [[0.25, -0.5, 1.0]] * 2
    one, two, three = stand_in.requests
    assert one.body == two.body
    assert SECRET not in three.text
    assert "Hello." in three.text
