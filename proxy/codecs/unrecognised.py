"""What no codec knows: any JSON, every string of it as a part. It is scanned and may be edited; it has no calls."""

from collections.abc import Mapping
from typing import Final

import orjson

from proxy.codecs import Channel, Json, Part, Reading, Request, Response
from proxy.codecs.channels import Channels, Said
from proxy.codecs.splicing import Change
from proxy.codecs.sse import SseEvent, encode
from proxy.codecs.walk import Parts

NAME: Final = "unrecognised"


def _parts(document: Json) -> list[Part]:
    parts = Parts()
    parts.walk_any(document, (), "other", "text")
    return parts.out


def read_text(text: str) -> list[Part]:
    """A body that is no JSON, as one part."""
    return [Part((), text, "other", "text")] if text else []


def read_request(document: Json) -> Request:
    """Any JSON that goes up."""
    return Request(model=None, stream=False, parts=_parts(document))


def read_response(document: Json) -> Response:
    """Any JSON that comes down."""
    return Response(model=None, parts=_parts(document))


class _Reader:
    """Every event by itself: what grows over several of them is not known."""

    def __init__(self) -> None:
        self._channels = Channels()

    def read(self, event: Json) -> Reading:
        """All its strings."""
        said = Said()
        self._channels.once(_parts(event), said)
        return said.reading()

    def finish(self) -> Reading:
        """Nothing is open."""
        return Reading(end=True)


class _Writer:
    """Nothing is ever cut."""

    def rewrite(self, event: SseEvent, document: Json, reading: Reading, cuts: Mapping[Channel, str]) -> bytes | None:
        """Leaves every event as it is."""
        return None


def stream_reader() -> _Reader:
    """A reader for one response stream."""
    return _Reader()


def stream_writer() -> _Writer:
    """A writer for one response stream."""
    return _Writer()


def refusal(status: int, message: str) -> bytes:
    """A problem (RFC 9457): the caller's own format is not known."""
    return orjson.dumps({"type": "about:blank", "title": "refused by midstream", "status": status, "detail": message})


def cut_calls(document: Json, response: Response, cuts: Mapping[int, str]) -> list[Change]:
    """ValueError: there are no calls to cut."""
    if cuts:
        raise ValueError("an unrecognised response has no tool calls")
    return []


def inject(document: Json, text: str) -> list[Change]:
    """ValueError: there is no place that is known to reach a model."""
    raise ValueError("an unrecognised request has no place for a text")


def ask_usage(document: Json) -> list[Change]:
    """Nothing: what is counted is not known."""
    return []


def message(model: str | None, text: str) -> bytes:
    """The text as a JSON object."""
    return orjson.dumps({"message": text})


def message_stream(model: str | None, text: str) -> bytes:
    """The same as one event."""
    return encode(None, message(model, text))
