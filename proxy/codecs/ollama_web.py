"""Ollama's `/api/web_search` and `/api/web_fetch` (wire-formats §9): tools that agents call over HTTP.

A request is one call, its answer the call's result (docs.ollama.com/capabilities/web-search). No model is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Part, Reading, Request, Response, ToolCall, ToolResult
from proxy.codecs.channels import Channels, Said
from proxy.codecs.codec import Codec
from proxy.codecs.splicing import Change, Replace
from proxy.codecs.walk import Parts, table

_ID: Final = "web"


def read_request(document: Json) -> Request:
    """What is searched for, or the page that is fetched."""
    parts = Parts()
    parts.walk_any(document, (), "assistant", "tool_call")
    root = table(document)
    name = "web_fetch" if "url" in root else "web_search"
    call = ToolCall(_ID, name, root, (), tuple(range(len(parts.out))))
    return Request(model=None, stream=False, parts=parts.out, makes=(call,), calls={_ID: (name, root)})


def read_response(document: Json) -> Response:
    """What was found, or the page; or an error, which is no result."""
    parts = Parts()
    parts.walk_any(document, (), "tool", "tool_result")
    root = table(document)
    mine = tuple(range(len(parts.out)))
    results: Sequence[ToolResult] = ()
    if "results" in root:
        results = (ToolResult(_ID, "web_search", ("results",), mine),)
    elif "content" in root:
        results = (ToolResult(_ID, "web_fetch", ("content",), mine),)
    return Response(model=None, parts=parts.out, results=results)


def _found(notice: str) -> Json:
    return [{"title": "", "url": "", "content": notice}]


def _page(notice: str) -> dict[str, Json]:
    return {"title": "", "content": notice, "links": []}


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """A notice instead of everything that was found, or of the page with its title and links."""
    if result.content == ("results",):
        return [Replace(result.content, orjson.dumps(_found(text)))]
    return [Replace((name,), orjson.dumps(value)) for name, value in _page(text).items()]


def answer_calls(document: Json, request: Request, cuts: Mapping[int, str]) -> bytes:
    """The answer to a denied call: a notice is all that is found."""
    notice = "\n\n".join(cuts.values())
    return orjson.dumps(_page(notice) if "url" in table(document) else {"results": _found(notice)})


def refusal(status: int, message: str) -> bytes:
    """Ollama's error object: a text, whatever the status."""
    return orjson.dumps({"error": message})


class _Reader:
    """These answers are never streamed; what comes so all the same is texts."""

    def __init__(self) -> None:
        self._channels = Channels()

    def read(self, event: Json) -> Reading:
        """All its strings."""
        said = Said()
        parts: Sequence[Part] = [part._replace(kind="text") for part in read_response(event).parts]
        self._channels.once(parts, said)
        return said.reading()

    def finish(self) -> Reading:
        """Nothing is open."""
        return Reading(end=True)


def stream_reader() -> _Reader:
    """A reader for one response stream."""
    return _Reader()


CODEC = Codec(
    name="ollama_web",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    refusal=refusal,
    deny_result=deny_result,
    answer_calls=answer_calls,
    framings=("lines",),
    is_model=False,
)
