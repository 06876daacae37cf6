"""Codings: what goes in comes out, for every cut, every stack, and no bomb."""

import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from proxy.encoding import (
    STREAM_FLOOR,
    BadEncoding,
    StreamDecoder,
    StreamEncoder,
    TooLarge,
    codings,
    decode_body,
    encode_body,
)

CODINGS = ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, br", "zstd,gzip", "identity", ""]
SINGLE = ["gzip", "deflate", "br", "zstd"]
TEXT = b'data: {"delta": "one and two and three"}\n\n' * 50


def raw_deflate(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(data) + deflate.flush()


@pytest.mark.parametrize(
    ("coding", "raw"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("gzip", gzip.compress(TEXT[:100], mtime=0) + gzip.compress(TEXT[100:], mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", raw_deflate(TEXT)),
        ("br", brotli.compress(TEXT)),
        ("zstd", zstandard.compress(TEXT)),
        ("zstd", zstandard.compress(TEXT[:100]) + zstandard.compress(TEXT[100:])),
        ("gzip, zstd", zstandard.compress(gzip.compress(TEXT, mtime=0))),
        ("GZIP", gzip.compress(TEXT, mtime=0)),
    ],
)
def test_reads_what_other_encoders_wrote_whole_and_byte_by_byte(coding: str, raw: bytes) -> None:
    assert decode_body(raw, coding, len(TEXT)) == TEXT
    decoder = StreamDecoder(coding)
    assert b"".join(decoder.feed(raw[i : i + 1]) for i in range(len(raw))) + decoder.finish() == TEXT


@given(st.sampled_from(CODINGS), st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 64))
def test_every_chunk_is_readable_at_once_and_any_cut_gives_the_same(coding: str, chunks: list[bytes], cut: int) -> None:
    encoder, decoder = StreamEncoder(coding), StreamDecoder(coding)
    wire = b""
    for chunk in chunks:
        encoded = encoder.feed(chunk)
        assert decoder.feed(encoded) == chunk
        wire += encoded
    wire += encoder.finish()
    whole = b"".join(chunks)
    assert decode_body(wire, coding, max(len(whole), 1)) == whole
    again = StreamDecoder(coding)
    pieces = [again.feed(wire[i : i + cut]) for i in range(0, len(wire), cut)]
    assert b"".join(pieces) + again.finish() == whole


@given(st.sampled_from(SINGLE), st.binary(max_size=200))
def test_garbage_is_refused_or_decodes_and_never_crashes(coding: str, garbage: bytes) -> None:
    try:
        decode_body(garbage, coding, 1 << 20)
    except (BadEncoding, TooLarge):
        return


@pytest.mark.parametrize("coding", SINGLE)
def test_a_body_that_is_cut_off_is_refused(coding: str) -> None:
    raw = encode_body(TEXT, coding)
    with pytest.raises(BadEncoding):
        decode_body(raw[:-3], coding, 1 << 20)


@pytest.mark.parametrize("coding", SINGLE)
def test_plain_text_under_a_coding_is_refused(coding: str) -> None:
    with pytest.raises(BadEncoding):
        decode_body(b'{"model": "not compressed at all"}', coding, 1 << 20)


@pytest.mark.parametrize("coding", [*SINGLE, "gzip, gzip", "br, zstd"])
def test_a_bomb_stops_at_the_limit(coding: str) -> None:
    bomb = encode_body(bytes(32 << 20), coding)
    with pytest.raises(TooLarge):
        decode_body(bomb, coding, 1 << 20)


@pytest.mark.parametrize("coding", SINGLE)
def test_a_bomb_in_a_stream_stops_by_its_ratio(coding: str) -> None:
    bomb = encode_body(bytes(32 << 20), coding)
    decoder = StreamDecoder(coding)
    with pytest.raises(TooLarge):
        for start in range(0, len(bomb), 100):
            decoder.feed(bomb[start : start + 100])


def test_an_uncompressed_stream_is_never_a_bomb() -> None:
    decoder = StreamDecoder("identity")
    assert sum(len(decoder.feed(bytes(1 << 16))) for _ in range(64)) == 64 << 16 > STREAM_FLOOR


def test_the_limit_is_exact() -> None:
    assert decode_body(gzip.compress(TEXT, mtime=0), "gzip", len(TEXT)) == TEXT
    with pytest.raises(TooLarge):
        decode_body(gzip.compress(TEXT, mtime=0), "gzip", len(TEXT) - 1)
    with pytest.raises(TooLarge):
        decode_body(TEXT, "", len(TEXT) - 1)


def test_a_large_zstd_window_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    raw = wide.compress(TEXT) + wide.flush()
    with pytest.raises(BadEncoding):
        decode_body(raw, "zstd", 1 << 20)


def test_unknown_and_endless_codings_are_refused() -> None:
    assert codings(" GZip , identity,br ") == ["gzip", "br"]
    for value in ("compress", "gzip, sdch", "gzip;q=1", "gzip," * 5):
        with pytest.raises(BadEncoding):
            codings(value)


@pytest.mark.parametrize("coding", SINGLE)
def test_an_empty_body_is_empty(coding: str) -> None:
    assert decode_body(b"", coding, 1) == b""
