"""Ollama's own API, `/api/chat` and `/api/generate` (wire-formats §9): JSON and lines of JSON, as pure functions.

Source: github.com/ollama/ollama docs/api.md, and recorded traffic. Here stands only what makes them a `Codec`:
`document` reads requests and whole responses, `messages` one message; `stream` reads lines; `writer` cuts calls out;
`own` is what midstream says itself. Both endpoints share everything but that. `web` is the search beside them.
"""

from dataclasses import replace

from proxy.codecs.codec import Codec
from proxy.codecs.ollama import own
from proxy.codecs.ollama.document import read_request, read_response
from proxy.codecs.ollama.stream import stream_reader
from proxy.codecs.ollama.writer import cut_calls, stream_writer

CODEC = Codec(
    name="ollama",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=own.refusal,
    cut_calls=cut_calls,
    inject=own.inject,
    message=own.message,
    message_stream=own.message_stream,
    framings=("lines",),
)

GENERATE = replace(CODEC, name="ollama_generate", message=own.generation, message_stream=own.generation_stream)
