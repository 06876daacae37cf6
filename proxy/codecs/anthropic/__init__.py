"""Anthropic Messages (wire-formats §3): JSON and stream, as pure functions.

Source: Anthropic's OpenAPI by way of its SDK types, and docs.anthropic.com "Streaming messages", "Errors". Here stand
only the functions that make it a `Codec`: `document` reads requests and whole responses, `blocks` their content and a
stream's alike; `stream` reads events; `writer` cuts calls out; `own` is what midstream says itself. Framing, splicing
and hosts live elsewhere.
"""

from dataclasses import replace

from proxy.codecs.anthropic import batches
from proxy.codecs.anthropic.document import read_request, read_response
from proxy.codecs.anthropic.own import deny_result, inject, mend, message, message_stream, refusal
from proxy.codecs.anthropic.stream import stream_reader
from proxy.codecs.anthropic.writer import cut_calls, stream_writer
from proxy.codecs.codec import Codec

CODEC = Codec(
    name="anthropic",
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
)

COUNT = replace(CODEC, name="anthropic_count_tokens", is_model=False)
"""`POST /v1/messages/count_tokens`: the same request; nothing is generated, and nothing spent."""

BATCHES = replace(
    CODEC,
    name="anthropic_batches",
    read_request=batches.read_request,
    read_response=batches.read_response,
    cut_calls=batches.cut_calls,
    inject=batches.inject,
    mend=batches.mend,
    framings=("lines",),
    by_message=True,
)
"""`POST /v1/messages/batches`: many requests, whose answers are fetched later."""

BATCH_RESULTS = replace(BATCHES, name="anthropic_batch_results", is_model=False)
"""The state of a batch, its cancelling, and its results, a line each."""
