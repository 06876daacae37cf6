"""Amazon Bedrock's agents, knowledge bases and flows (wire-formats §6): InvokeAgent, RetrieveAndGenerate, InvokeFlow.

Source: the bedrock-agent-runtime service model as botocore ships it, and its API reference. `document` reads requests
and whole answers, `stream` events; `own` is what midstream says itself. The three differ in what an answer looks like.
"""

from dataclasses import replace

from proxy.codecs.bedrock_agent import own
from proxy.codecs.bedrock_agent.document import read_request, read_response
from proxy.codecs.bedrock_agent.stream import stream_reader
from proxy.codecs.bedrock_converse.own import refusal
from proxy.codecs.codec import Codec

CODEC = Codec(
    name="bedrock_agent",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    stream_writer=own.stream_writer,
    refusal=refusal,
    deny_result=own.deny_result,
    inject=own.inject,
    message=own.message,
    message_stream=own.agent_stream,
)

RETRIEVAL = replace(CODEC, name="bedrock_retrieval", message_stream=own.retrieval_stream)
FLOW = replace(CODEC, name="bedrock_flow", message_stream=own.flow_stream)
