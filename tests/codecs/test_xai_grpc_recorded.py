"""Recorded gRPC exchanges with xAI: read whole, edited everywhere and back, counted as the recordings count."""

import base64
import gzip
import json
from collections.abc import Iterator
from typing import Any

from proxy.codecs import Key, trees, xai_grpc
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Event
from proxy.codecs.framings.grpc import Grpc
from proxy.codecs.splicing import TextChange
from proxy.decision import TextEdit
from tests.codecs import recorded
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared

CODEC: Codec = xai_grpc.CODEC
LONGER = "<" + "z" * 150


def exchanges() -> Iterator[tuple[dict[str, Any], bytes, bytes]]:
    """(record, request body, answer body)."""
    with gzip.open(SHARED / "corpus" / "xai.jsonl.gz", "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            if record["endpoint_kind"] == "xai_grpc":
                up, down = (Grpc().encode(Event(None, base64.b64decode(each["b64"]))) for each in record["frames"])
                yield record, up, down


def test_every_recorded_exchange_is_read_whole() -> None:
    found = 0
    for record, up, down in exchanges():
        asked, answered = CODEC.syntax.parse(up), CODEC.of_answers.parse(down)
        request, response = CODEC.read_request(asked), CODEC.read_response(answered)
        for document, read in ((asked, request), (answered, response)):
            assert recorded.unread(document, read) == []
            assert recorded.misplaced(document, read) == []
            assert len({part.path for part in read.parts}) == len(read.parts)
        assert len(response.calls) == record["response_tool_calls"]
        assert bool(request.results or response.results) >= record["has_tool_results"]
        found += 1
    assert found > 50


def test_every_recorded_text_is_edited_and_edited_back() -> None:
    for _, up, down in exchanges():
        for raw, syntax, codec_reads in (
            (up, CODEC.syntax, CODEC.read_request),
            (down, CODEC.of_answers, CODEC.read_response),
        ):
            parts = [part for part in codec_reads(syntax.parse(raw)).parts if not isinstance(part.path[-1], Key)]
            open_parts = [part for part in parts if not part.sealed]
            longer = syntax.splice(raw, [TextChange(part.path, [TextEdit(0, 0, LONGER)]) for part in open_parts])
            said = {part.path: part.text for part in codec_reads(syntax.parse(longer)).parts}
            assert all(said[part.path] == ("" if part.sealed else LONGER) + part.text for part in parts)
            back = [TextChange(part.path, [TextEdit(0, len(LONGER), "")]) for part in open_parts]
            assert syntax.splice(longer, back) == raw


def test_without_a_table_every_text_is_found_all_the_same() -> None:
    for _, up, down in exchanges():
        for raw, syntax in ((up, CODEC.syntax), (down, CODEC.of_answers)):
            known = {text for _, text in trees.strings(syntax.parse(raw)) if text}
            assert known <= {text for _, text in trees.strings(xai_grpc.ANY.syntax.parse(raw))}
