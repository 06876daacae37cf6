"""Streams of whatever framing, read and rewritten as the guard does it; and any JSON in any place of a format."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from proxy.codecs import Channel, Part, Reading, Response, trees
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Frame, Framing
from proxy.codecs.splicing import splice
from tests.codecs import recorded
from tests.judging import guarded

PERMIT = "version: 1\n"
REDACT = """
version: 1
rules:
  - {id: secrets, at: [post_llm_response, pre_tool_execution], find: [secret], verdict: modify, edit: redact}
"""
SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token


def deny(*tools: str) -> str:
    """A policy that denies calls of these tools."""
    names = ", ".join(tools)
    return (
        "version: 1\nrules:\n"
        f"  - {{id: r, at: pre_tool_execution, tools: [{names}], verdict: deny, reason: not here}}\n"
    )


def lines(*documents: Any) -> bytes:
    """A stream of one document a line."""
    return b"".join(orjson.dumps(document) + b"\n" for document in documents)


def delivered(policy: str, codec: str, raw: bytes) -> bytes:
    """What leaves of a stream, which is the same however it is cut."""
    whole = guarded(policy, codec, [raw])
    assert guarded(policy, codec, [raw[at : at + 1] for at in range(len(raw))]) == whole
    assert guarded(policy, codec, [raw[at : at + 7] for at in range(0, len(raw), 7)]) == whole
    assert guarded(PERMIT, codec, [raw]) == raw
    return whole


def readings(codec: Codec, framing: Framing, raw: bytes) -> list[tuple[Frame, Any, Reading]]:
    """Every document of a stream, parsed and read; the end of the stream last."""
    reader = codec.stream_reader()
    frames = [*framing.feed(raw), *framing.finish()]
    assert b"".join(frame.raw for frame in frames) == raw
    documents = [frame for frame in frames if frame.data and frame.data != b"[DONE]"]
    read = [(frame, document, reader.read(document)) for frame in documents for document in [trees.parse(frame.data)]]
    return [*read, (Frame(b"", None, b""), None, reader.finish())]


def texts(read: Sequence[tuple[Frame, Any, Reading]]) -> dict[Channel, str]:
    """The texts that grew over several events, assembled."""
    found: dict[Channel, str] = {}
    for _, _, reading in read:
        for channel, _, text in reading.fragments:
            if "once" not in channel:
                found[channel] = found.get(channel, "") + text
    return found


def consistent(codec: Codec, event: Any, reading: Reading) -> None:
    """Nothing of an event goes unread, and what was read stands where it is said to stand."""
    said = [Part(item.path, item.text, "", "text") for item in (*reading.fragments, *reading.repeats)]
    copies = [(0, change) for _, change in reading.when_edited if change.path]
    holder = Response(None, said, when_edited=copies)
    left = [path for path in recorded.unread(event, holder) if not _is_name(event, path)]
    assert left == [], codec.name
    assert recorded.misplaced(event, holder) == [], codec.name


def _is_name(event: Any, path: tuple[Any, ...]) -> bool:
    """A call's name, which no channel carries, or no text at all."""
    value = event
    for step in path:
        value = value[step]
    return bool(value == "" or path[-1] == "name")


def changed(raw: Any, change: Callable[[Any], Any]) -> Any:
    """A document after a codec's own changes."""
    data = orjson.dumps(raw)
    return orjson.loads(splice(data, change(orjson.loads(data))))


def cut(codec: Codec, document: Any, cuts: Mapping[int, str]) -> Any:
    """A whole answer with calls cut out."""
    return changed(document, lambda parsed: codec.cut_calls(parsed, codec.read_response(parsed), cuts))


def injected(codec: Codec, document: Any, text: str = "X") -> Any:
    """A request with a text added."""
    return changed(document, lambda parsed: codec.inject(parsed, text))


def denied_result(codec: Codec, document: Any, index: int = 0) -> Any:
    """A request with a result denied."""
    return changed(document, lambda parsed: codec.deny_result(parsed, codec.read_request(parsed).results[index], "NO"))


def anything(names: Sequence[str], words: Sequence[str]) -> st.SearchStrategy[Any]:
    """Any JSON, of members with these names more often than not."""
    leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", *words])
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=5),
        max_leaves=20,
    )


def reads_requests(codec: Codec, document: Any) -> None:
    """A request of any shape is read whole."""
    request = codec.read_request(document)
    assert recorded.unread(document, request) == []
    assert recorded.misplaced(document, request) == []
    assert len({part.path for part in request.parts}) == len(request.parts)


def reads_responses(codec: Codec, document: Any) -> None:
    """An answer of any shape is read whole."""
    response = codec.read_response(document)
    assert recorded.unread(document, response) == []
    assert recorded.misplaced(document, response) == []
    assert len({part.path for part in response.parts}) == len(response.parts)


def reads_events(codec: Codec, events: Sequence[Any]) -> None:
    """Events of any shape are read whole, and every text that was opened is closed."""
    reader = codec.stream_reader()
    grown: set[Channel] = set()
    closed: set[Channel] = set()
    for event in events:
        reading = reader.read(event)
        consistent(codec, event, reading)
        assert not {fragment.channel for fragment in reading.fragments} & closed
        grown |= {fragment.channel for fragment in reading.fragments}
        closed |= set(reading.closes)
    assert grown <= closed | set(reader.finish().closes)
