"""Google's Interactions API (wire-formats §4.1): JSON and stream, as pure functions.

Source: ai.google.dev "Interactions API" and the types of Google's SDK. Here stand only the functions that make it a
`Codec`: `document` reads requests and whole answers, `steps` their steps and a stream's alike; `stream` reads events;
`writer` cuts calls out; `own` is what midstream says itself.
"""

from proxy.codecs.codec import Codec
from proxy.codecs.gemini.own import refusal
from proxy.codecs.gemini_interactions.document import read_request, read_response
from proxy.codecs.gemini_interactions.own import answer_kept, deny_result, inject, kept_stream, message, message_stream
from proxy.codecs.gemini_interactions.stream import stream_reader
from proxy.codecs.gemini_interactions.writer import cut_calls, stream_writer

CODEC = Codec(
    name="gemini_interactions",
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
    kept_stream=kept_stream,
    answer_kept=answer_kept,
    repeats=True,
)
