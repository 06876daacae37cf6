"""Bodies of the Assistants API over REST. What the objects say is read in `objects`."""

from collections.abc import Iterator
from typing import Final

from proxy.codecs import Json, Path, Request, Response
from proxy.codecs.openai_assistants.objects import Objects, offsets
from proxy.codecs.splicing import Change
from proxy.codecs.walk import array, number, table, word
from proxy.events import Usage

_OVER: Final = frozenset({"completed", "failed", "cancelled", "expired", "incomplete", "requires_action"})


def read_request(document: Json) -> Request:
    """Any body that goes up: an assistant, a thread, a message, a run, outputs of tools."""
    root, said = table(document), Objects()
    said.read(document, ())
    return Request(
        model=word(root.get("model")),
        stream=root.get("stream") is True,
        parts=said.parts.out,
        results=said.results,
        tools=said.tools,
        max_output=number(root.get("max_completion_tokens")) or None,
    )


def read_response(document: Json) -> Response:
    """Any object, a list of them, or an error."""
    root, said = table(document), Objects()
    said.read(document, ())
    places = {part.path: index for index, part in enumerate(said.parts.out)}
    copies = [(places[path], change) for path, change in _offsets(document) if path in places]
    return Response(
        word(root.get("model")),
        said.parts.out,
        said.calls,
        stop_reason(document),
        read_usage(root.get("usage")),
        when_edited=copies,
    )


def _offsets(document: Json) -> Iterator[tuple[Path, Change]]:
    yield from offsets(table(document).get("content"), ("content",))
    for index, item in enumerate(array(table(document).get("data"))):
        yield from offsets(table(item).get("content"), ("data", index, "content"))


def stop_reason(document: Json) -> str | None:
    """Why a run is over, or waits."""
    root = table(document)
    status = word(root.get("status"))
    return status if status in _OVER and root.get("object") == "thread.run" else None


def read_usage(used: Json) -> Usage | None:
    """The token counts of a run."""
    counts = table(used)
    if not counts:
        return None
    details = table(counts.get("prompt_token_details")) or table(counts.get("prompt_tokens_details"))
    return Usage(
        input=number(counts.get("prompt_tokens")),
        output=number(counts.get("completion_tokens")),
        cache_read=number(details.get("cached_tokens")),
    )
