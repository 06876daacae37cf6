"""What a client makes of a stream: assembled here by hand, as the official SDKs do it, from the bytes alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from proxy.codecs import Channel, Reading, trees
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Event, Frame
from proxy.codecs.framings.sse import DONE, Sse, encode


def stream(*documents: Any, named: bool = False) -> bytes:
    """Events of one stream."""
    events = [encode(document["type"] if named else None, orjson.dumps(document)) for document in documents]
    return b"".join(events) + (b"" if named else encode(None, DONE))


def events(raw: bytes) -> list[Frame]:
    frames = Sse()
    return [*frames.feed(raw), *frames.finish()]


def readings(codec: Codec, raw: bytes) -> list[tuple[Frame, Any, Reading]]:
    """Every event with data, parsed and read; the end of the stream last."""
    reader = codec.stream_reader()
    read = []
    for event in events(raw):
        if event.data and event.data != DONE:
            document = trees.parse(event.data)
            read.append((event, document, reader.read(document)))
    return [*read, (Frame(b"", None, b""), None, reader.finish())]


def texts(codec: Codec, raw: bytes) -> dict[Channel, str]:
    """All channels of a stream, assembled."""
    found: dict[Channel, str] = {}
    for _, _, reading in readings(codec, raw):
        for channel, _, text in reading.fragments:
            found[channel] = found.get(channel, "") + text
    return found


def rewritten(codec: Codec, raw: bytes, cuts: Mapping[Channel, str]) -> bytes:
    """The stream with calls cut out."""
    writer, out = codec.stream_writer(), []
    for event, document, reading in readings(codec, raw):
        if document is not None:
            out.append(written(event, writer.rewrite(event, document, reading, cuts)))
    return b"".join(out) + (encode(None, DONE) if raw.endswith(encode(None, DONE)) else b"")


def written(event: Frame, new: Sequence[Event] | None) -> bytes:
    """An event as it leaves a writer, framed."""
    if new is None:
        return event.raw
    frames = Sse()
    return b"".join(
        frames.with_data(event, other.data) if not index and other.name == event.name else frames.encode(other)
        for index, other in enumerate(new)
    )


def said(codec: Codec, text: str) -> bytes:
    """A whole stream that says only `text`."""
    frames = Sse()
    return b"".join(frames.encode(event) for event in codec.message_stream(None, text))


def chat_message(raw: bytes, choice: int = 0) -> dict[str, Any]:
    """An OpenAI client's view of one choice."""
    message: dict[str, Any] = {"content": "", "calls": {}, "finish": None}
    for event in events(raw):
        if event.data == DONE:
            continue
        for item in orjson.loads(event.data)["choices"]:
            if item["index"] == choice:
                delta = item["delta"]
                message["content"] += delta.get("content") or ""
                for piece in delta.get("tool_calls") or []:
                    call = message["calls"].setdefault(piece["index"], ["", ""])
                    call[0] += piece["function"].get("name") or ""
                    call[1] += piece["function"].get("arguments") or ""
                message["finish"] = item["finish_reason"] or message["finish"]
    return message


def messages_message(raw: bytes) -> dict[str, Any]:
    """An Anthropic client's view."""
    blocks: dict[int, Any] = {}
    stop = None
    for event in events(raw):
        document = orjson.loads(event.data)
        assert event.name == document["type"]
        if document["type"] == "content_block_start":
            assert document["index"] not in blocks
            blocks[document["index"]] = [document["content_block"]["type"], document["content_block"].get("text", "")]
        elif document["type"] == "content_block_delta":
            delta = document["delta"]
            blocks[document["index"]][1] += delta.get("text") or delta.get("partial_json") or ""
        elif document["type"] == "message_delta":
            stop = document["delta"]["stop_reason"]
    return {"blocks": [tuple(blocks[index]) for index in sorted(blocks)], "stop": stop}
