"""Google Gemini (wire-formats §4), Developer API and Vertex: JSON, SSE and arrays of chunks, as pure functions.

Source: the discovery documents of both services, ai.google.dev "Thought signatures", "Function calling". Here stand
only the functions that make it a `Codec`: `document` reads requests, `answer` whole answers, `parts` a content's parts
in both; `stream`, `flow`, `candidate`, `streamed_calls` and `partial` read chunks; `writer` cuts calls out; `own` is
what midstream says itself; `names` knows both spellings, `calls` ids, `inline` where base64 is text. The Live and
Interactions APIs are packages beside.
"""

from proxy.codecs import base64_texts
from proxy.codecs.codec import Codec
from proxy.codecs.gemini.answer import read_response
from proxy.codecs.gemini.document import read_request
from proxy.codecs.gemini.embedding import read_embeddings
from proxy.codecs.gemini.inline import text_places
from proxy.codecs.gemini.own import deny_result, inject, message, message_stream, refusal
from proxy.codecs.gemini.stream import stream_reader
from proxy.codecs.gemini.writer import cut_calls, stream_writer

SYNTAX = base64_texts.syntax(text_places, "data")
"""JSON, the text files in it decoded."""

CODEC = Codec(
    name="gemini",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    deny_result=deny_result,
    inject=inject,
    message=message,
    message_stream=message_stream,
    syntax=SYNTAX,
    framings=("sse", "array"),
    repeats=True,
)

EMBEDDING = Codec(
    name="gemini_embedding",
    read_request=read_request,
    read_response=read_embeddings,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    message=message,
    message_stream=message_stream,
    syntax=SYNTAX,
)
"""Texts turned into numbers: they cost tokens, and no model answers."""

ADMIN = Codec(
    name="gemini_admin",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    deny_result=deny_result,
    message=message,
    message_stream=message_stream,
    syntax=SYNTAX,
    is_model=False,
)
"""Contents that are counted or kept for later requests: no model reads them yet."""
