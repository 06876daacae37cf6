"""Cohere's `/v2/chat` (wire-formats §7): JSON and stream, as pure functions.

Source: docs.cohere.com/v2/reference/chat and recorded traffic. Here stands only what makes it a `Codec`: `document`
reads requests and whole responses, their `messages` alike; `stream` reads events, pieces of `calls` included; `writer`
cuts calls out; `own` is what midstream says itself. Framing, splicing and hosts live elsewhere.
"""

from proxy.codecs.codec import Codec
from proxy.codecs.cohere_v2.document import read_request, read_response
from proxy.codecs.cohere_v2.own import inject, message, message_stream, refusal
from proxy.codecs.cohere_v2.stream import stream_reader
from proxy.codecs.cohere_v2.writer import cut_calls, stream_writer

CODEC = Codec(
    name="cohere_v2",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    inject=inject,
    message=message,
    message_stream=message_stream,
    # Citations come when their text is complete, and go if it was edited: what was edited must be remembered.
    repeats=True,
)
