"""Amazon Bedrock InvokeModel and InvokeModelWithResponseStream (wire-formats §6): a model's own format in an envelope.

The path need not name the model (ARNs of profiles and throughputs), so `shapes` tells the format by the body; `native`
reads those of no other codec; `stream` hands events on; `own` is what midstream says itself. Errors are AWS's.
"""

from collections.abc import Mapping

from proxy.codecs import Json, Request, Response, ToolResult, base64_texts
from proxy.codecs.bedrock_converse.blocks import text_documents
from proxy.codecs.bedrock_converse.own import refusal
from proxy.codecs.bedrock_invoke import native, shapes
from proxy.codecs.bedrock_invoke.own import message, message_stream
from proxy.codecs.bedrock_invoke.stream import parse_event, stream_reader, stream_writer
from proxy.codecs.codec import JSON, Codec, Syntax
from proxy.codecs.splicing import Change, splice


def read_request(document: Json) -> Request:
    """An InvokeModel body. Whether it asks for a stream is said by the path alone."""
    codec = shapes.of_request(document)
    return codec.read_request(document) if codec else native.read_request(document)


def read_response(document: Json) -> Response:
    """An InvokeModel answer."""
    codec = shapes.of_response(document)
    return codec.read_response(document) if codec else native.read_response(document)


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """As the model's format does."""
    codec = shapes.of_response(document)
    return codec.cut_calls(document, response, cuts) if codec else []


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """As the model's format does; native formats have no results."""
    codec = shapes.of_request(document)
    return codec.deny_result(document, result, text) if codec else []


def inject(document: Json, text: str) -> list[Change]:
    """As the model's format does. ValueError for native prompts: what ends them asks for the answer."""
    codec = shapes.of_request(document)
    if codec is None:
        raise ValueError("a prompt with a model's own marks of turns has no place for a text")
    return codec.inject(document, text)


def mend(document: Json) -> list[Change]:
    """As the model's format does; native formats have no calls."""
    codec = shapes.of_request(document)
    return codec.mend(document) if codec else []


CODEC = Codec(
    name="bedrock_invoke",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    deny_result=deny_result,
    inject=inject,
    mend=mend,
    message=message,
    message_stream=message_stream,
    syntax=base64_texts.syntax(text_documents, "bytes"),
    answers=JSON,
    events=Syntax(parse_event, splice),
    repeats=True,  # Cohere's
)
