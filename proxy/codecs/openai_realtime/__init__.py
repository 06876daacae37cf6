"""OpenAI Realtime over WebSocket (wire-formats §2.4), with Azure Voice Live's and xAI's additions; pure functions.

Source: OpenAI OpenAPI 2.3.0, `RealtimeClientEvent` and `RealtimeServerEvent`, and recorded connections. Here stands
only what makes it a `Codec`: `document` reads what a client says, `stream` what a server says over a whole connection;
`items` is what both put into the conversation, `whole` how often it is told; `writer` cuts calls out; `own`
is what midstream says itself. Sockets, splicing and hosts live elsewhere.
"""

from dataclasses import replace

from proxy.codecs.codec import Codec
from proxy.codecs.openai_chat.own import refusal
from proxy.codecs.openai_realtime.document import begins, read_request, read_response
from proxy.codecs.openai_realtime.own import inject, message_stream, socket_refusal
from proxy.codecs.openai_realtime.stream import stream_reader
from proxy.codecs.openai_realtime.writer import stream_writer

CODEC = Codec(
    name="openai_realtime",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    inject=inject,
    message_stream=message_stream,
    begins=begins,
    socket_refusal=socket_refusal,
    repeats=True,
)

OVER_HTTP = replace(CODEC, name="openai_realtime_http", is_model=False)
"""`/realtime/{sessions,client_secrets}`: what a session will be. No model answers yet."""
