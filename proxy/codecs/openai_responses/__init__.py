"""OpenAI Responses (wire-formats §2), over HTTP and WebSocket: JSON and stream, as pure functions.

Source: OpenAI OpenAPI 2.3.0, `/responses`, `/responses/compact`; openai-python's types of WebSocket messages; recorded
vendors. Here stands only what makes it a `Codec`: `request` and `document` (whole responses) read what `items` hold,
`calls` and `results` what of it tools are asked and say; `stream` reads events, `answer`, `item` and `texts` keep what
they speak of; `writer` cuts calls out, `mend` and `kept` are what a next request needs because of that; `own` is what
midstream says itself. Framing, splicing and hosts live elsewhere.
"""

from dataclasses import replace

from proxy.codecs import Json, Request
from proxy.codecs.codec import Codec
from proxy.codecs.openai_chat.own import refusal
from proxy.codecs.openai_responses.document import read_response
from proxy.codecs.openai_responses.kept import answer_kept
from proxy.codecs.openai_responses.mend import mend
from proxy.codecs.openai_responses.own import begins, inject, kept_stream, message, message_stream, socket_refusal
from proxy.codecs.openai_responses.request import read_request
from proxy.codecs.openai_responses.results import deny_result
from proxy.codecs.openai_responses.stream import stream_reader
from proxy.codecs.openai_responses.writer import cut_calls, stream_writer

CODEC = Codec(
    name="openai_responses",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    deny_result=deny_result,
    inject=inject,
    mend=mend,
    answer_kept=answer_kept,
    message=message,
    message_stream=message_stream,
    kept_stream=kept_stream,
    begins=begins,
    socket_refusal=socket_refusal,
    repeats=True,
)


def _sums_up(document: Json) -> Request:
    return replace(read_request(document), compacts=True)


COMPACT = replace(CODEC, name="openai_responses_compact", read_request=_sums_up)
"""`POST /responses/compact`: nothing in its body says that it sums the conversation up."""

AUX = replace(CODEC, name="openai_responses_aux", is_model=False)
"""Answers that are read or cancelled after they were asked for, and the counting of tokens: nothing is generated."""
