"""OpenAI Assistants (wire-formats §11): threads, messages, runs and their steps, over REST and as streams of events.

Source: OpenAI OpenAPI 2.3.0, and recorded traffic. Here stands only what makes it a `Codec`: `objects` reads what the
objects say, `document` bodies, `stream` events; `writer` has runs fail whose calls are denied; `own` is what midstream
says itself. Framing, splicing and hosts live elsewhere.
"""

from dataclasses import replace

from proxy.codecs.codec import Codec
from proxy.codecs.openai_assistants.document import read_request, read_response
from proxy.codecs.openai_assistants.own import inject, message, message_stream
from proxy.codecs.openai_assistants.stream import stream_reader
from proxy.codecs.openai_assistants.writer import cut_calls, stream_writer
from proxy.codecs.openai_chat.own import refusal

CODEC = Codec(
    name="openai_assistants",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    inject=inject,
    message=message,
    message_stream=message_stream,
    repeats=True,
)

THREADS = replace(CODEC, name="openai_threads", is_model=False)
"""Everything but starting a run: assistants, threads, messages, and what is asked of runs. No model answers."""
