"""Message batches (docs.anthropic.com/en/api/creating-message-batches): requests by the array, results by the line.

Each is a message as `document` reads it, deeper in the document; only its place is this module's business.
"""

from collections.abc import Callable, Mapping
from typing import Final

from proxy.codecs import Json, Part, Path, Request, Response, ToolResult
from proxy.codecs.anthropic import document as messages
from proxy.codecs.anthropic import own, writer
from proxy.codecs.splicing import Change
from proxy.codecs.walk import Parts, array, table

_RESULT: Final[Path] = ("result", "message")


def read_request(document: Json) -> Request:
    """A `POST /v1/messages/batches` body."""
    root = table(document)
    parts: list[Part] = []
    read: list[Request] = []
    for index, item in enumerate(array(root.get("requests"))):
        place: Path = ("requests", index, "params")
        request = messages.read_request(table(item).get("params"))
        read.append(_moved(request, place, len(parts)))
        parts += read[-1].parts
        parts += _beside(item, place[:-1], "params")
    parts += _beside(document, (), "requests" if isinstance(root.get("requests"), list) else None)
    return Request(
        model=next((request.model for request in read if request.model), None),
        stream=False,
        parts=parts,
        results=[result for request in read for result in request.results],
        tools=list(dict.fromkeys(name for request in read for name in request.tools)),
        calls={call_id: call for request in read for call_id, call in request.calls.items()},
        max_output=sum(request.max_output or 0 for request in read) or None,
        session=next((request.session for request in read if request.session), None),
        turn=max((request.turn for request in read), default=0),
        compacts=any(request.compacts for request in read),
    )


def _beside(value: Json, path: Path, skip: str | None) -> list[Part]:
    """The strings of an object but those of one member."""
    parts = Parts()
    if isinstance(value, dict):
        parts.members(value, path, "other", "text", frozenset({skip} if skip else ()))
    else:
        parts.walk(value, path, "other", "text")
    return [part._replace(sealed=True) if part.path[-1:] == ("custom_id",) else part for part in parts.out]


def _moved(request: Request, place: Path, first: int) -> Request:
    return Request(
        model=request.model,
        stream=False,
        parts=[part._replace(path=place + part.path) for part in request.parts],
        results=[_result(result, place, first) for result in request.results],
        tools=request.tools,
        calls=request.calls,
        max_output=request.max_output,
        session=request.session,
        turn=request.turn,
        compacts=request.compacts,
    )


def _result(result: ToolResult, place: Path, first: int) -> ToolResult:
    mine = tuple(first + part for part in result.parts)
    return result._replace(content=place + result.content, parts=mine)


def read_response(document: Json) -> Response:
    """One line of `/results`, or a batch object, which says nothing."""
    root = table(document)
    inner = messages.read_response(table(root.get("result")).get("message"))
    parts = [part._replace(path=_RESULT + part.path) for part in inner.parts]
    calls = [call._replace(path=_RESULT + call.path) for call in inner.calls]
    results = [_result(result, _RESULT, 0) for result in inner.results]
    if isinstance(root.get("result"), dict):
        parts += _beside(root["result"], ("result",), "message")
        parts += _beside(root, (), "result")
    else:
        parts += _beside(document, (), None)
    return Response(inner.model, parts, calls, inner.stop_reason, inner.usage, results)


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """As of a message."""
    message = table(table(document).get("result")).get("message")
    deep = len(_RESULT)
    calls = [call._replace(path=call.path[deep:]) for call in response.calls]
    inner = Response(response.model, response.parts, calls)
    return [change._replace(path=_RESULT + change.path) for change in writer.cut_calls(message, inner, cuts)]


def inject(document: Json, text: str) -> list[Change]:
    """Text into every request."""
    return _in_each(document, lambda params: own.inject(params, text))


def mend(document: Json) -> list[Change]:
    """Every request as a message of its own is mended."""
    return _in_each(document, own.mend)


def _in_each(document: Json, changes: Callable[[Json], list[Change]]) -> list[Change]:
    return [
        change._replace(path=("requests", index, "params", *change.path))
        for index, item in enumerate(array(table(document).get("requests")))
        for change in changes(table(item).get("params"))
    ]
