"""Any JSON, with the names of a format in any place: nothing of it goes unread, and nothing crashes."""

from collections.abc import Collection
from typing import Any

from hypothesis import strategies as st

from proxy.codecs import Channel, Part, Response
from proxy.codecs.codec import Codec
from tests.codecs import recorded


def anything(names: Collection[str]) -> st.SearchStrategy[Any]:
    """Documents that have these names in any place."""
    leaf = (
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.sampled_from(sorted(names))
    )
    return st.recursive(
        leaf,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(sorted(names)) | st.text(max_size=3), inner, max_size=4)
        ),
        max_leaves=12,
    )


def check_documents(codec: Codec, document: Any) -> None:
    """Read as a request and as an answer, every string is a part or a short word."""
    for read in (codec.read_request(document), codec.read_response(document)):
        assert recorded.unread(document, read) == []
        assert recorded.misplaced(document, read) == []
        assert len({part.path for part in read.parts}) == len(read.parts)


def check_events(codec: Codec, documents: list[Any]) -> None:
    """Read as events of one stream, every string is in a channel, and no channel grows once it is closed."""
    reader = codec.stream_reader()
    seen, closed = set[Channel](), set[Channel]()
    for document in documents:
        reading = reader.read(document)
        told = [*reading.fragments, *reading.repeats, *reading.so_far]
        said = Response(
            None,
            [Part(fragment.path, fragment.text, "", "text") for fragment in told],
            when_edited=[(0, change) for _, change in reading.when_edited if change.path],
        )
        assert [path for path in recorded.unread(document, said) if _carries(document, path)] == []
        assert recorded.misplaced(document, said) == []
        assert not {fragment.channel for fragment in told} & closed
        seen |= {fragment.channel for fragment in told}
        closed |= set(reading.closes)
    assert seen <= closed | set(reader.finish().closes)


def _carries(document: Any, path: Any) -> bool:
    """Channels carry no empty texts, names of calls or padding."""
    if path and path[-1] in ("name", "p"):
        return False
    for step in path:
        document = document[step]
    return bool(document)
