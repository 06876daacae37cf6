"""AWS event streams made and read by hand, and what botocore makes of the bytes."""

import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import botocore.session
import orjson
from botocore.eventstream import EventStream as ClientStream
from botocore.parsers import EventStreamJSONParser, create_parser

from proxy.codecs import Channel, Reading
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Frame
from proxy.codecs.framings.event_stream import EventStream


def header(name: str, value: bytes, kind: int = 7) -> bytes:
    sized = struct.pack(">H", len(value)) + value if kind in (6, 7) else value
    return bytes((len(name),)) + name.encode() + bytes((kind,)) + sized


def message(headers: bytes, payload: bytes) -> bytes:
    lengths = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    body = lengths + struct.pack(">I", zlib.crc32(lengths)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def event(name: str, payload: bytes, *more: bytes) -> bytes:
    block = header(":event-type", name.encode()) + header(":content-type", b"application/json")
    return message(block + header(":message-type", b"event") + b"".join(more), payload)


def chunk(inner: bytes, **rest: Any) -> bytes:
    return event("chunk", orjson.dumps({"bytes": b64encode(inner).decode()} | rest))


def stream(*documents: Mapping[str, Any]) -> bytes:
    """A stream of events, each given as {its name: its payload}."""
    return b"".join(event(name, orjson.dumps(payload)) for one in documents for name, payload in one.items())


def chunks(*documents: Any) -> bytes:
    """A stream of InvokeModel's chunks."""
    return b"".join(chunk(orjson.dumps(document), p="abcdefgh") for document in documents)


def readings(codec: Codec, raw: bytes) -> list[tuple[Frame, Any, Reading]]:
    """Every event, parsed and read; the end of the stream last."""
    framing, reader = EventStream(), codec.stream_reader()
    read = []
    for frame in [*framing.feed(raw), *framing.finish()]:
        document = (codec.events or codec.syntax).parse(frame.data)
        read.append((frame, document, reader.read(document)))
    return [*read, (Frame(b"", None, b""), None, reader.finish())]


def texts(codec: Codec, raw: bytes) -> dict[Channel, str]:
    """All channels of a stream, assembled."""
    found: dict[Channel, str] = {}
    for _, _, reading in readings(codec, raw):
        for channel, _, text in reading.fragments:
            found[channel] = found.get(channel, "") + text
    return found


def grown(codec: Codec, raw: bytes) -> dict[Channel, str]:
    """Those that may grow over several events."""
    return {channel: text for channel, text in texts(codec, raw).items() if "once" not in channel}


def rewritten(codec: Codec, raw: bytes, cuts: Mapping[Channel, str]) -> bytes:
    """The stream with calls cut out."""
    framing, writer, out = EventStream(), codec.stream_writer(), []
    for frame, document, reading in readings(codec, raw)[:-1]:
        new = writer.rewrite(frame, document, reading, cuts)
        if new is None:
            out.append(frame.raw)
            continue
        for index, other in enumerate(new):
            same = not index and other.name == frame.name
            out.append(framing.with_data(frame, other.data) if same else framing.encode(other))
    return b"".join(out)


class _Body:
    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def stream(self) -> Iterator[bytes]:
        """As urllib3's."""
        yield self._raw

    def close(self) -> None:
        """As urllib3's."""


def client_operation(operation: str, service: str = "bedrock-runtime") -> Any:
    """An operation as botocore knows it."""
    return botocore.session.get_session().get_service_model(service).operation_model(operation)


def client_events(operation: str, raw: bytes, service: str = "bedrock-runtime") -> list[dict[str, Any]]:
    """What botocore reads of a stream."""
    (shape,) = (
        shape
        for shape in client_operation(operation, service).output_shape.members.values()
        if shape.serialization.get("eventstream")
    )
    return list(ClientStream(_Body(raw), shape, EventStreamJSONParser(), operation))


def client_answer(operation: str, raw: bytes, status: int = 200, service: str = "bedrock-runtime") -> dict[str, Any]:
    """What botocore reads of a whole answer."""
    answer = {"status_code": status, "headers": {}, "body": raw}
    return dict(create_parser("rest-json").parse(answer, client_operation(operation, service).output_shape))
