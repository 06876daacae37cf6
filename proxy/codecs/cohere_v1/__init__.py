"""Cohere's `/v1/chat` and `/v1/generate` (wire-formats §7): JSON, and streams by the line or as SSE.

Source: docs.cohere.com/v1/reference/chat, /generate, and recorded traffic. Here stands only what makes them a `Codec`:
`document` reads requests and whole responses, `answer` what an answer says, whole or at the end of a stream; `stream`
reads events; `writer` cuts calls out; `own` is what midstream says itself. Both endpoints share everything but that.
"""

from dataclasses import replace

from proxy.codecs.codec import Codec
from proxy.codecs.cohere_v1 import own
from proxy.codecs.cohere_v1.document import read_request, read_response
from proxy.codecs.cohere_v1.stream import stream_reader
from proxy.codecs.cohere_v1.writer import cut_calls, deny_result, stream_writer

CODEC = Codec(
    name="cohere_v1",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=own.refusal,
    cut_calls=cut_calls,
    deny_result=deny_result,
    inject=own.inject,
    message=own.message,
    message_stream=own.message_stream,
    framings=("sse", "lines"),
    repeats=True,
)

GENERATE = replace(CODEC, name="cohere_generate", message=own.generation, message_stream=own.generation_stream)
