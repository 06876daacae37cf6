"""CountTokens and guardrails: texts that are counted or checked, in base64 too."""

from base64 import b64encode
from typing import Any

import orjson
import pytest
from hypothesis import given

from proxy.codecs.bedrock_checks import CODEC
from proxy.codecs.splicing import TextChange
from proxy.decision import TextEdit
from tests.codecs import recorded
from tests.codecs.any_json import anything, check_documents, check_events


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        (
            {
                "input": {
                    "converse": {"messages": [{"role": "user", "content": [{"text": "a"}]}], "system": [{"text": "s"}]}
                }
            },
            ["a", "s"],
        ),
        (
            {
                "input": {
                    "converse": {"messages": [{"role": "user", "content": [{"image": {"source": {"bytes": "AAAA"}}}]}]}
                }
            },
            [],
        ),
        ({"input": {"invokeModel": {"body": '{"prompt":"a"}', "x": "y"}, "z": "w"}}, ['{"prompt":"a"}', "w", "y"]),
        ({"input": {"invokeModel": "odd", "converse": "odder"}}, ["odd", "odder"]),
        ({"input": "odd"}, ["odd"]),
        ({"source": "INPUT", "content": [{"text": {"text": "a", "qualifiers": ["query"]}}]}, ["INPUT", "a", "query"]),
        ({"content": [{"image": {"format": "png", "source": {"bytes": "AAAA"}}}]}, []),
        ("odd", ["odd"]),
    ],
)
def test_requests(document: Any, texts: list[str]) -> None:
    request = CODEC.read_request(document)
    assert recorded.unread(document, request) == []
    assert sorted(part.text for part in request.parts if not part.sealed) == sorted(texts)
    assert not request.results
    assert not CODEC.is_model


def test_a_guardrails_matches_are_read() -> None:
    document = {
        "outputs": [{"text": "a"}],
        "assessments": [{"sensitiveInformationPolicy": {"piiEntities": [{"match": "m"}]}}],
    }
    assert {"a", "m"} <= {part.text for part in CODEC.read_response(document).parts}


def test_a_body_is_counted_decoded() -> None:
    body = orjson.dumps({"prompt": "my key"})
    raw = orjson.dumps({"input": {"invokeModel": {"body": b64encode(body).decode()}}})
    (part,) = CODEC.read_request(CODEC.syntax.parse(raw)).parts
    assert (part.text, part.json) == (body.decode(), True)
    at = part.text.index("key")
    out = CODEC.syntax.splice(raw, [TextChange(part.path, [TextEdit(at, at + 3, "***")])])
    assert out == orjson.dumps({"input": {"invokeModel": {"body": b64encode(body.replace(b"key", b"***")).decode()}}})
    assert CODEC.syntax.splice(raw, []) == raw


def test_a_text_document_is_counted_decoded() -> None:
    block = {"document": {"format": "txt", "name": "n", "source": {"bytes": b64encode(b"secret").decode()}}}
    raw = orjson.dumps({"input": {"converse": {"messages": [{"role": "user", "content": [block]}]}}})
    assert "secret" in {part.text for part in CODEC.read_request(CODEC.syntax.parse(raw)).parts}


NAMES = ["input", "converse", "invokeModel", "body", "messages", "content", "text", "source", "bytes", "image", "type"]


@given(anything(NAMES))
def test_any_json_is_read(document: Any) -> None:
    check_documents(CODEC, document)
    check_events(CODEC, [document])
    orjson.loads(orjson.dumps(CODEC.syntax.parse(orjson.dumps(document))))


def test_a_refusal_is_bedrocks() -> None:
    assert orjson.loads(CODEC.refusal(403, "no"))["message"] == "no"
