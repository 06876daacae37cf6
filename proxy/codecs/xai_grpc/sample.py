"""The Sample service: prompts completed without messages, calls or roles."""

from typing import Final

from proxy.codecs import Json, Reading, Request, Response
from proxy.codecs.channels import Channels, Said
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.codecs.xai_grpc.document import read_usage
from proxy.codecs.xai_grpc.messages import STOPS


def read_request(document: Json, *, stream: bool = False) -> Request:
    """A SampleTextRequest."""
    root, parts = table(document), Parts()
    parts.walk(root.get("prompt"), ("prompt",), "user", "text")
    parts.members(root, (), "other", "text", frozenset({"prompt"}))
    return Request(word(root.get("model")), stream, parts.out, max_output=number(root.get("max_tokens")) or None)


def read_response(document: Json) -> Response:
    """A SampleTextResponse."""
    root, parts = table(document), Parts()
    parts.walk(root.get("choices"), ("choices",), "assistant", "text")
    parts.members(root, (), "other", "text", frozenset({"choices"}))
    stops = [STOPS.get(number(table(choice).get("finish_reason"))) for choice in array(root.get("choices"))]
    stop = next(filter(None, stops), None)
    return Response(word(root.get("model")), parts.out, (), stop, read_usage(root.get("usage")))


_CHOICE: Final = frozenset({"text", "index", "finish_reason"})


class Reader:
    """A stream of SampleTextResponses, of which each carries a piece of a choice."""

    def __init__(self) -> None:
        self._channels = Channels()

    def read(self, event: Json) -> Reading:
        """What one of them says."""
        said, root = Said(), table(event)
        for position, choice in enumerate(map(table, array(root.get("choices")))):
            index, path = number(choice.get("index")), ("choices", position)
            if text := word(choice.get("text")):
                said.fragment(self._channels.growing(("text", index)), (*path, "text"), text)
            self._channels.rest(said, choice, path, _CHOICE)
            if reason := STOPS.get(number(choice.get("finish_reason"))):
                said.stop = reason
                said.closes += self._channels.close_block(index)
        self._channels.rest(said, root, (), frozenset({"choices", "usage"}))
        said.model, said.usage = word(root.get("model")), read_usage(root.get("usage"))
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes the rest."""
        return Reading(closes=self._channels.close_all(), end=True)


def stream_reader() -> Reader:
    """A reader for one answer."""
    return Reader()
