"""Amazon Bedrock Converse and ConverseStream (wire-formats §5): JSON and stream, as pure functions.

Source: the bedrock-runtime service model as botocore ships it, and the API reference. Here stands only what makes it a
`Codec`: `document` reads requests and whole responses, `blocks` their content; `stream` reads events; `writer` cuts
calls out; `own` is what midstream says itself. Framing, splicing and hosts live elsewhere.
"""

from proxy.codecs import base64_texts
from proxy.codecs.bedrock_converse.blocks import text_documents
from proxy.codecs.bedrock_converse.document import read_request, read_response
from proxy.codecs.bedrock_converse.own import deny_result, inject, mend, message, message_stream, refusal
from proxy.codecs.bedrock_converse.stream import stream_reader
from proxy.codecs.bedrock_converse.writer import cut_calls, stream_writer
from proxy.codecs.codec import JSON, Codec

CODEC = Codec(
    name="bedrock_converse",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=stream_writer,
    refusal=refusal,
    cut_calls=cut_calls,
    deny_result=deny_result,
    inject=inject,
    mend=mend,
    message=message,
    message_stream=message_stream,
    syntax=base64_texts.syntax(text_documents, "bytes"),
    answers=JSON,
    events=JSON,
)
