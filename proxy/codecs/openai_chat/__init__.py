"""OpenAI Chat Completions and its compatible vendors (wire-formats §1): JSON and stream, as pure functions.

Source: OpenAI OpenAPI 2.3.0, `/chat/completions`, and recorded vendors. Here stands only what makes it a
`Codec`: `document` reads requests and whole responses, their `messages` and their `calls` alike; `stream` reads chunks;
`writer` cuts calls out; `own` is what midstream says itself. Framing, splicing and hosts live elsewhere.
"""

from proxy.codecs.codec import Codec
from proxy.codecs.openai_chat.document import read_request, read_response
from proxy.codecs.openai_chat.own import ask_usage, inject, message, message_stream, refusal
from proxy.codecs.openai_chat.stream import stream_reader
from proxy.codecs.openai_chat.writer import cut_calls, stream_writer

CODEC = Codec(
    name="openai_chat",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    inject=inject,
    ask_usage=ask_usage,
    message=message,
    message_stream=message_stream,
)
