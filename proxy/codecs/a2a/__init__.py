"""A2A (wire-formats §11): JSON-RPC over HTTP and SSE, versions 0.2 to 1.0, and the same documents over REST, as pure
functions.

Source: the specification and a2a.json of the A2A project (a2a-protocol.org). Here stand only the functions that make it
a `Codec`: `document` reads what client and agent say, `own` answers what is denied, `detect` recognises the protocol.
JSON-RPC's envelope lives elsewhere, gRPC is another format.
"""

from proxy.codecs import jsonrpc
from proxy.codecs.a2a.detect import is_message
from proxy.codecs.a2a.document import agent_of, endpoints_of, read_request, read_response
from proxy.codecs.a2a.own import answer_calls, deny_result
from proxy.codecs.codec import Codec, ToolProtocol

CODEC = Codec(
    name="a2a",
    read_request=read_request,
    read_response=read_response,
    stream_reader=lambda: jsonrpc.EachAlone(read_response),
    refusal=jsonrpc.refusal,
    deny_result=deny_result,
    message=jsonrpc.says,
    message_stream=jsonrpc.says_in_stream,
    answer_calls=answer_calls,
    protocol=ToolProtocol(is_message=is_message, server_of=agent_of, endpoints_of=endpoints_of),
    by_message=True,
    is_model=False,
)
