"""Protocol Buffers as a document's syntax: read by descriptor tables, or by what the bytes look like without one.

A message becomes an object whose members have the table's names; enumerations are numbers. Members that no table knows
are called `#<number>` and hold lists: texts, messages, numbers; bytes that are none of these stay bytes, which nobody
reads or edits. `wire` knows fields, `schema` tables, `reading` makes trees, `writing` splices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from proxy.codecs import DecodeError, Json
from proxy.codecs.codec import Syntax
from proxy.codecs.framings import Frame, grpc
from proxy.codecs.protobuf import reading, writing
from proxy.codecs.protobuf.schema import NAMELESS, Table
from proxy.codecs.splicing import Change


@dataclass(frozen=True, slots=True)
class Protobuf:
    """Messages called `root` of a table; without a table, any message."""

    table: Table
    root: str = NAMELESS

    def parse(self, raw: bytes) -> Json:
        """The message in `raw`. DecodeError for what is none, groups and wrong wire types among it."""
        return reading.read(self.table, self.root, raw, 0, len(raw))

    def splice(self, raw: bytes, changes: Sequence[Change]) -> bytes:
        """`raw` with the changes made and every other byte as it was, but for the lengths of what encloses them."""
        return writing.splice(self.table, self.root, raw, changes)

    def encode(self, value: Json) -> bytes:
        """A message of its own."""
        return writing.encode(self.table, self.root, value)

    @property
    def syntax(self) -> Syntax:
        """Of bare messages: the events of a stream."""
        return Syntax(self.parse, self.splice)

    @property
    def body(self) -> Syntax:
        """Of whole gRPC bodies that are one message in its frame, or none (an answer that is only trailers)."""
        return Syntax(self._parse_body, self._splice_body)

    def _parse_body(self, raw: bytes) -> Json:
        return self.parse(_only(raw)[1]) if raw else {}

    def _splice_body(self, raw: bytes, changes: Sequence[Change]) -> bytes:
        if not changes:
            return raw
        framing, message = _only(raw)
        return framing.with_data(Frame(raw, None, message), self.splice(message, changes))


def _only(raw: bytes) -> tuple[grpc.Grpc, bytes]:
    """The one message of a body."""
    framing = grpc.Grpc(max(len(raw), grpc.MAX_MESSAGE))
    frames = [*framing.feed(raw), *framing.finish()]
    if len(frames) != 1 or frames[0].is_comment:
        raise DecodeError(f"{len(frames)} frames in a body of one message")
    return framing, frames[0].data
