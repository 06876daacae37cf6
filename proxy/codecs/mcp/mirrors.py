"""The headers in which a request of 2026-07-28 repeats its message: `Mcp-Name`, `Mcp-Param-*`.

A server must refuse a request whose headers differ from its body (transport, "Server Validation"), and what was taken
out of the body must not go up in a header. So where a value was edited, its header is written anew.
"""

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from proxy.codecs import Json
from proxy.codecs.walk import table

_PARAM: Final = "mcp-param-"
_NAME: Final = "mcp-name"
_NAMES: Final = ("name", "uri")
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")
_ENCODED_ANYWHERE: Final = re.compile(r"=\?base64\?([^?]*)\?=", re.IGNORECASE)
_SAFE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?|")


def said(headers: Mapping[str, str]) -> dict[str, str]:
    """What these headers say, by name, as readers see it that are lenient with their encoding."""
    return {
        name: _ENCODED_ANYWHERE.sub(_leniently, value)
        for name, value in headers.items()
        if name == _NAME or name.startswith(_PARAM)
    }


def _leniently(match: re.Match[str]) -> str:
    with contextlib.suppress(binascii.Error):
        return base64.b64decode(match[1] + "==").decode(errors="replace")
    return match[0]


def mirrored(headers: Mapping[str, str], before: Json, after: Json) -> dict[str, str | None]:
    """New values of the headers (names in lower case) that repeat what was changed from `before` to `after`.

    None for a header of which the value is gone.
    """
    old, new = table(table(before).get("params")), table(table(after).get("params"))
    arguments = dict(_changed(old.get("arguments"), new.get("arguments")))
    named = dict(_changed({name: old.get(name) for name in _NAMES}, new))
    told: dict[str, str | None] = {}
    for header, value in headers.items():
        known = arguments if header.startswith(_PARAM) else named if header == _NAME else {}
        if (said := decoded(value)) in known:
            fresh = known[said]
            told[header] = None if fresh is None else encoded(fresh)
    return told


def _changed(old: Json, new: Json) -> Iterator[tuple[str, str | None]]:
    """Every value that was edited, as headers tell it, and what it is now."""
    if isinstance(old, dict):
        others = table(new)
        for name, item in old.items():
            yield from _changed(item, others.get(name))
    elif isinstance(old, str | int) and not isinstance(old, bool) and old != new:
        yield str(old), new if isinstance(new, str) else None


def decoded(value: str) -> str:
    """A header's value as the body has it ("Value Encoding")."""
    match = _ENCODED.fullmatch(value)
    if match is None:
        return value
    try:
        return base64.b64decode(match[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value


def encoded(value: str) -> str:
    """A value as a header may carry it."""
    if _SAFE.fullmatch(value) and not _ENCODED.fullmatch(value):
        return value
    return f"=?base64?{base64.b64encode(value.encode('utf-8', 'surrogatepass')).decode()}?="
