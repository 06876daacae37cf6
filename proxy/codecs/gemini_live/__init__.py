"""Gemini Live (wire-formats §4, `BidiGenerateContent`): messages of a WebSocket, as pure functions.

Source: ai.google.dev "Live API: WebSockets API reference". Here stand only the functions that make it a `Codec`:
`client` reads what goes up, `server` what comes down, `own` cuts calls out and says what midstream says itself. Parts
and contents are those of `gemini`.
"""

from proxy.codecs.codec import Codec
from proxy.codecs.gemini import SYNTAX
from proxy.codecs.gemini.own import deny_result, refusal
from proxy.codecs.gemini_live.client import begins, inject, read_request
from proxy.codecs.gemini_live.own import message, message_stream, socket_refusal, stream_writer
from proxy.codecs.gemini_live.server import read_response, stream_reader

CODEC = Codec(
    name="gemini_live",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    deny_result=deny_result,
    inject=inject,
    message=message,
    message_stream=message_stream,
    syntax=SYNTAX,
    begins=begins,
    socket_refusal=socket_refusal,
    repeats=True,
)
