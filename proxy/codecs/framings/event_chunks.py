"""The payload of a `chunk` event of Amazon Bedrock: `{"bytes": "<base64>", "p": "<padding>"}`, unwrapped and wrapped.

InvokeModel puts the model's own JSON into it, agents plain text (API reference, PayloadPart). Headers and sums are
`event_stream`'s business.
"""

import json
import re
from base64 import b64decode, b64encode
from binascii import Error
from typing import Final, Literal

import orjson

from proxy.codecs import AmbiguousError, DecodeError, Json
from proxy.codecs.spans import locate
from proxy.codecs.trees import parse

_BYTES: Final = ("bytes",)
_OWN: Final = frozenset({"bytes", "p"})
_PLAIN: Final = re.compile(rb'\{"bytes":"([A-Za-z0-9+/]*={0,2})"(?:,"p":"([A-Za-z0-9]{0,62})")?\}')

PADDING: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
"""Padding (`p`) is this alphabet's beginning, of any length."""

DONE: Final = b"[DONE]"


def opened(payload: bytes) -> bytes:
    """The document in a chunk: the JSON object that it wraps; else the payload with its base64 as text.

    What is no chunk comes as it is. DecodeError for base64 that readers decode differently.
    """
    return _open(payload)[0]


def closed(payload: bytes, data: bytes) -> bytes:
    """The chunk with another document, in the form that `opened` gave."""
    form = _open(payload)[1]
    return data if form == "other" else _with_base64(payload, data) if form == "document" else wrapped(data)


def beside(payload: bytes) -> bytes:
    """What of a chunk is not in its document; b"" for padding."""
    plain = _PLAIN.fullmatch(payload)
    if plain is not None and (plain[2] is None or PADDING.startswith(plain[2].decode())):
        return b""
    return _with_base64(payload, b"") if _open(payload)[1] == "document" else b""


def _open(payload: bytes) -> tuple[bytes, Literal["document", "text", "other"]]:
    plain = _PLAIN.fullmatch(payload)
    if plain is not None:
        inner, bare = _decoded(plain[1].decode()), True
    else:
        tree = _tree(payload)
        if tree is None:
            return payload, "other"
        inner, bare = _decoded(tree["bytes"]), tree.keys() <= _OWN
    if bare and _is_document(inner):
        return inner, "document"
    return _with_string(payload, inner), "text"


def wrapped(data: bytes) -> bytes:
    """A new chunk: around a document, or with the text under `bytes` in base64."""
    tree = _tree(data)
    if tree is None:
        return b'{"bytes":"' + b64encode(data) + b'"}'
    return _with_base64(data, _raw(tree["bytes"]))


def _tree(payload: bytes) -> dict[str, Json] | None:
    """The payload where it is a chunk's."""
    try:
        tree = parse(payload)
    except AmbiguousError:
        raise
    except DecodeError:
        return None
    return tree if isinstance(tree, dict) and isinstance(tree.get("bytes"), str) else None


def _is_document(inner: bytes) -> bool:
    if inner == DONE:
        return True
    try:
        return isinstance(parse(inner), dict)
    except AmbiguousError:
        return True  # a document that cannot be trusted, and no text
    except DecodeError:
        return False


def _decoded(encoded: str) -> bytes:
    try:
        return b64decode(encoded, validate=True)
    except (Error, ValueError):
        raise DecodeError("a chunk whose bytes are not base64") from None


def _with_string(payload: bytes, inner: bytes) -> bytes:
    start, end = locate(payload, [_BYTES])[_BYTES]
    return payload[:start] + _quoted(inner) + payload[end:]


def _with_base64(payload: bytes, inner: bytes) -> bytes:
    start, end = locate(payload, [_BYTES])[_BYTES]
    return payload[:start] + b'"' + b64encode(inner) + b'"' + payload[end:]


def _quoted(inner: bytes) -> bytes:
    try:
        return orjson.dumps(inner.decode())
    except UnicodeDecodeError:  # what is not UTF-8 travels as lone surrogates, and back
        return json.dumps(inner.decode("utf-8", "surrogateescape")).encode()


def _raw(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
