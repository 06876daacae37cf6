"""xAI's gRPC API (wire-formats §11): the Chat and Sample services, one codec for each shape of call.

Source: xAI's public protos. Protobuf does not say what a message is, so each method has its codec; the path chooses
(`providers.yaml`). `messages` has the tables, `document` reads requests and whole answers, `stream` chunks, `sample`
the Sample service; `writer` cuts calls out; `own` is what midstream says itself. Any other method is `grpc`: strings.
"""

from dataclasses import replace
from functools import partial
from typing import Final

from proxy.codecs import unrecognised
from proxy.codecs.codec import Codec
from proxy.codecs.framings.grpc import status_headers
from proxy.codecs.protobuf import Protobuf
from proxy.codecs.xai_grpc import sample
from proxy.codecs.xai_grpc.document import read_request, read_response
from proxy.codecs.xai_grpc.messages import message
from proxy.codecs.xai_grpc.own import (
    answer,
    answer_stream,
    deny_result,
    inject,
    refusal,
    sample_answer,
    sample_answer_stream,
)
from proxy.codecs.xai_grpc.stream import stream_reader
from proxy.codecs.xai_grpc.writer import cut_calls, stream_writer

CODEC: Final = Codec(
    name="xai_grpc",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    refusal_head=status_headers,
    cut_calls=cut_calls,
    deny_result=deny_result,
    inject=inject,
    message=answer,
    message_stream=answer_stream,
    framings=(),
    syntax=message("Request").body,
    answers=message("Answer").body,
    events=message("Chunk").syntax,
)
"""Chat/GetCompletion."""

STREAM: Final = replace(
    CODEC, name="xai_grpc_stream", read_request=partial(read_request, stream=True), framings=("grpc",)
)
"""Chat/GetCompletionChunk."""

START: Final = replace(CODEC, name="xai_grpc_start", answers=message("Started").body)
"""Chat/StartDeferredCompletion: the answer names it, and is fetched later."""

DEFERRED: Final = replace(
    CODEC,
    name="xai_grpc_deferred",
    syntax=message("Reference").body,
    read_response=partial(read_response, base=("response",)),
    answers=message("Deferred").body,
)
"""Chat/GetDeferredCompletion."""

STORED: Final = replace(CODEC, name="xai_grpc_stored", syntax=message("Reference").body)
"""Chat/GetStoredCompletion."""

COMPACT: Final = replace(
    CODEC,
    name="xai_grpc_compact",
    read_request=partial(read_request, compacts=True),
    syntax=message("Compact").body,
    answers=message("Compacted").body,
)
"""Chat/CompactContext."""

SAMPLE: Final = Codec(
    name="xai_grpc_sample",
    read_request=sample.read_request,
    read_response=sample.read_response,
    stream_reader=sample.stream_reader,
    refusal=refusal,
    refusal_head=status_headers,
    message=sample_answer,
    message_stream=sample_answer_stream,
    framings=(),
    syntax=message("TextRequest").body,
    answers=message("TextAnswer").body,
    events=message("TextAnswer").syntax,
)
"""Sample/SampleText."""

SAMPLE_STREAM: Final = replace(
    SAMPLE, name="xai_grpc_sample_stream", read_request=partial(sample.read_request, stream=True), framings=("grpc",)
)
"""Sample/SampleTextStreaming."""

ANY: Final = replace(
    unrecognised.CODEC,
    name="grpc",
    refusal=refusal,
    refusal_head=status_headers,
    framings=("grpc",),
    syntax=Protobuf({}).body,
    events=Protobuf({}).syntax,
)
"""Any other method, of any service."""

CODECS: Final = (CODEC, STREAM, START, DEFERRED, STORED, COMPACT, SAMPLE, SAMPLE_STREAM, ANY)
