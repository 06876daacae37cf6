"""Any JSON is read, string by string."""

import pytest
from hypothesis import given

from proxy.codecs import trees, unrecognised
from tests.codecs.test_spans import RAW


@given(RAW)
def test_every_text_of_any_document_is_a_part(raw: bytes) -> None:
    document = trees.parse(raw)
    expected = list(trees.leaves(document))
    assert [(part.path, part.text) for part in unrecognised.CODEC.read_request(document).parts] == expected
    assert [(part.path, part.text) for part in unrecognised.CODEC.read_response(document).parts] == expected
    reading = unrecognised.CODEC.stream_reader().read(document)
    assert [(fragment.path, fragment.text) for fragment in reading.fragments] == expected
    assert list(reading.closes) == [fragment.channel for fragment in reading.fragments]


def test_there_is_nothing_to_cut_or_to_add_to() -> None:
    response = unrecognised.CODEC.read_response({})
    assert unrecognised.CODEC.cut_calls({}, response, {}) == []
    with pytest.raises(ValueError, match="no tool calls"):
        unrecognised.CODEC.cut_calls({}, response, {0: "NO"})
    with pytest.raises(ValueError, match="no place"):
        unrecognised.CODEC.inject({}, "X")
    assert [part.text for part in unrecognised.read_text("x")] == ["x"]
    assert b'"status":403' in unrecognised.CODEC.refusal(403, "no")
