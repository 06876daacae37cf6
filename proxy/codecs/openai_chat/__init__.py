"""OpenAI Chat Completions and its compatible vendors (wire-formats §1): JSON and stream, as pure functions.

Source: OpenAI OpenAPI 2.3.0, `/chat/completions`, and recorded vendors. Here stand only the functions that make it a
`Codec`: `document` reads requests and whole responses, their `messages` and their `calls` alike; `stream` reads chunks;
`writer` cuts calls out; `own` is what midstream says itself. Framing, splicing and hosts live elsewhere.
"""

from typing import Final

from proxy.codecs.openai_chat.document import read_request, read_response
from proxy.codecs.openai_chat.own import ask_usage, inject, message, message_stream, refusal
from proxy.codecs.openai_chat.stream import stream_reader
from proxy.codecs.openai_chat.writer import cut_calls, stream_writer

__all__ = [
    "NAME",
    "ask_usage",
    "cut_calls",
    "inject",
    "message",
    "message_stream",
    "read_request",
    "read_response",
    "refusal",
    "stream_reader",
    "stream_writer",
]

NAME: Final = "openai_chat"
