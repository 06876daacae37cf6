"""MCP over HTTP (wire-formats §10), Streamable HTTP and HTTP+SSE, versions 2024-11-05 to 2026-07-28: pure functions.

Source: the schemas and transport pages of modelcontextprotocol.io. Here stand only the functions that make it a
`Codec`: `document` reads what client and server say, `own` is what midstream says itself, `detect` recognises the
protocol by its requests, `mirrors` keeps the headers that repeat a message. Framing, splicing and JSON-RPC's envelope
live elsewhere.
"""

from proxy.codecs import jsonrpc
from proxy.codecs.codec import Codec, Mirrors, ToolProtocol, Withholding
from proxy.codecs.mcp import detect, mirrors
from proxy.codecs.mcp.document import read_request, read_response, server_of
from proxy.codecs.mcp.own import answer_calls, deny_result, told, waits, withhold

CODEC = Codec(
    name="mcp",
    read_request=read_request,
    read_response=read_response,
    stream_reader=lambda: jsonrpc.EachAlone(read_response),
    refusal=jsonrpc.refusal,
    deny_result=deny_result,
    message=jsonrpc.says,
    message_stream=jsonrpc.says_in_stream,
    answer_calls=answer_calls,
    protocol=ToolProtocol(
        is_message=jsonrpc.is_spoken,
        server_of=server_of,
        session=detect.session,
        answered_elsewhere=detect.is_legacy,
        withholding=Withholding(waits, withhold, told),
        mirrors=Mirrors(mirrors.said, mirrors.mirrored, mirrors.encoded),
    ),
    by_message=True,
    plain_events=frozenset({"endpoint"}),
    is_model=False,
)
