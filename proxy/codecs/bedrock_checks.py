"""Bedrock's requests that generate nothing: CountTokens, ApplyGuardrail, InvokeGuardrailChecks. No calls.

Source: the bedrock-runtime service model as botocore ships it. CountTokens holds a Converse request, or a body of
InvokeModel in base64, which is read as the JSON text that it is.
"""

from collections.abc import Iterator

from proxy.codecs import Json, Path, Reading, Request, Response, base64_texts, bedrock_converse
from proxy.codecs.bedrock_converse.blocks import text_documents
from proxy.codecs.bedrock_converse.own import refusal
from proxy.codecs.channels import Channels, Said
from proxy.codecs.codec import JSON, Codec
from proxy.codecs.walk import Parts, table

_BODY: Path = ("input", "invokeModel", "body")
_CONVERSE: Path = ("input", "converse")


def _texts(document: Json) -> Iterator[Path]:
    """Where base64 is text."""
    counted = table(table(document).get("input"))
    if isinstance(table(counted.get("invokeModel")).get("body"), str):
        yield _BODY
    for path in text_documents(counted.get("converse")):
        yield (*_CONVERSE, *path)


def read_request(document: Json) -> Request:
    """What is to be counted or checked."""
    root, parts = table(document), Parts()
    counted = root.get("input")
    if isinstance(counted, dict):
        _counted(parts, counted)
        parts.members(root, (), "user", "text", frozenset({"input"}))
    elif isinstance(document, dict):
        parts.members(root, (), "user", "text", frozenset())
    else:
        parts.walk_any(document, (), "user", "text")
    return Request(model=None, stream=False, parts=parts.out)


def _counted(parts: Parts, counted: dict[str, Json]) -> None:
    inner = counted.get("converse")
    if inner is not None:
        read = bedrock_converse.CODEC.read_request(inner).parts
        parts.out += [part._replace(path=(*_CONVERSE, *part.path)) for part in read]
    body = table(counted.get("invokeModel")).get("body")
    if isinstance(body, str):
        parts.add(_BODY, body, "user", "text", json=True)
        parts.members(table(counted["invokeModel"]), _BODY[:2], "user", "text", frozenset({"body"}))
        parts.members(counted, ("input",), "user", "text", frozenset({"converse", "invokeModel"}))
    else:
        parts.members(counted, ("input",), "user", "text", frozenset({"converse"}))


def read_response(document: Json) -> Response:
    """A count, a guardrail's assessment with what it matched, or an error."""
    parts = Parts()
    parts.walk(document, (), "other", "text")
    return Response(None, parts.out)


class Reader:
    """These answers are never streams; what comes as one is read event by event."""

    def __init__(self) -> None:
        self._channels = Channels()

    def read(self, event: Json) -> Reading:
        """All its strings."""
        said = Said()
        self._channels.walked(said, event, ())
        return said.reading()

    def finish(self) -> Reading:
        """Nothing is open."""
        return Reading(end=True)


CODEC = Codec(
    name="bedrock_checks",
    read_request=read_request,
    read_response=read_response,
    stream_reader=Reader,
    refusal=refusal,
    syntax=base64_texts.syntax(_texts, "body", "bytes"),
    answers=JSON,
    events=JSON,
    is_model=False,
)
