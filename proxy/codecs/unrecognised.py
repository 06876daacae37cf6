"""What no codec knows: any JSON, every string of it as a part. It is scanned and may be edited; it has no calls."""

from proxy.codecs import Json, Part, Reading, Request, Response
from proxy.codecs.channels import Channels, Said
from proxy.codecs.codec import Codec
from proxy.codecs.walk import Parts


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


def stream_reader() -> _Reader:
    """A reader for one response stream."""
    return _Reader()


CODEC = Codec(
    name="unrecognised",
    read_request=read_request,
    read_response=read_response,
    stream_reader=stream_reader,
    is_model=False,
)
