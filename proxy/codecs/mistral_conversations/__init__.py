"""Mistral's `/v1/conversations` (wire-formats §8): conversations that the server keeps, as pure functions.

Source: docs.mistral.ai/api, "Conversations", and the models of the mistralai SDK 3. Here stands only what makes it a
`Codec`: `document` reads requests and whole responses, `entries` one entry of either; `stream` reads events; `writer`
cuts calls out; `own` is what midstream says itself. Framing, splicing and hosts live elsewhere.
"""

from proxy.codecs.codec import Codec
from proxy.codecs.mistral_chat import refusal
from proxy.codecs.mistral_conversations.document import read_request, read_response
from proxy.codecs.mistral_conversations.own import answer_kept, inject, kept_stream, message, message_stream
from proxy.codecs.mistral_conversations.stream import stream_reader
from proxy.codecs.mistral_conversations.writer import cut_calls, stream_writer

CODEC = Codec(
    name="mistral_conversations",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    inject=inject,
    message=message,
    message_stream=message_stream,
    kept_stream=kept_stream,
    answer_kept=answer_kept,
)
