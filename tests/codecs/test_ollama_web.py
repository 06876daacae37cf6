"""Ollama's web search and fetch: a request is a call, its answer the result."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings

from proxy.codecs import ollama_web
from tests.codecs import framed, recorded
from tests.codecs.framed import changed

CODEC = ollama_web.CODEC
FOUND = {"results": [{"title": "T", "url": "https://example.org", "content": "text"}]}
PAGE = {"title": "T", "content": "text", "links": ["https://example.org"]}


@pytest.mark.parametrize(
    ("document", "name"), [({"query": "rain", "max_results": 3}, "web_search"), ({"url": "https://x"}, "web_fetch")]
)
def test_a_request_is_a_call(document: Any, name: str) -> None:
    request = CODEC.read_request(document)
    (made,) = request.makes
    assert recorded.unread(document, request) == []
    assert (made.name, dict(made.arguments)) == (name, document)
    assert [request.parts[index].kind for index in made.parts] == ["tool_call"]
    assert not CODEC.is_model


@pytest.mark.parametrize(
    ("document", "name", "content"), [(FOUND, "web_search", "results"), (PAGE, "web_fetch", "content")]
)
def test_an_answer_is_its_result(document: Any, name: str, content: str) -> None:
    response = CODEC.read_response(document)
    (result,) = response.results
    assert recorded.unread(document, response) == []
    assert (result.name, result.content) == (name, (content,))
    assert {response.parts[index].text for index in result.parts} >= {"T", "text", "https://example.org"}


def test_an_error_is_no_result() -> None:
    response = CODEC.read_response({"error": "no"})
    assert ([part.text for part in response.parts], list(response.results)) == (["no"], [])


def denied(document: Any) -> Any:
    return changed(document, lambda parsed: CODEC.deny_result(parsed, CODEC.read_response(parsed).results[0], "NO"))


def test_a_denied_result_says_only_the_notice() -> None:
    assert denied(FOUND) == {"results": [{"title": "", "url": "", "content": "NO"}]}
    assert denied(PAGE) == {"title": "", "content": "NO", "links": []}


def test_a_denied_call_is_answered_as_if_nothing_else_was_found() -> None:
    assert CODEC.answer_calls is not None
    for document, expected in (({"query": "q"}, denied(FOUND)), ({"url": "u"}, denied(PAGE))):
        answer = CODEC.answer_calls(document, CODEC.read_request(document), {0: "NO"})
        assert orjson.loads(answer) == expected
    assert orjson.loads(CODEC.refusal(400, "no")) == {"error": "no"}


@given(framed.anything(("results", "content", "title", "url", "query", "links"), ()))
@settings(max_examples=200, deadline=None)
def test_any_json_is_read(value: Any) -> None:
    framed.reads_requests(CODEC, value)
    framed.reads_responses(CODEC, value)
    framed.reads_events(CODEC, [value])
