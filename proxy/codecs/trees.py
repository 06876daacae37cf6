"""JSON read strictly into trees, and the texts of a tree.

Raw bytes are only read here, never changed, and where in them a value stands is not known (`spans`, `splice`). Nothing
here knows a provider's field.
"""

import json
import re
from collections.abc import Iterator
from typing import Never

import orjson

from proxy.codecs import AmbiguousError, DecodeError, Json, Key, Path

MAX_DEPTH = 254
"""Nesting that is read; orjson writes no deeper, and writing is how duplicate keys are found out."""

BOM = b"\xef\xbb\xbf"


def parse(raw: bytes) -> Json:
    """The document in `raw`: strict RFC 8259 in UTF-8, a leading BOM skipped (§8.1 lets a reader ignore it).

    DecodeError for anything else, for nesting deeper than MAX_DEPTH and for duplicate names: of two members with one
    name readers keep different ones, so what was scanned need not be what is used. Integers beyond 64 bits come as
    floats, as most clients read them.
    """
    if raw.startswith(BOM):
        raw = raw[3:]
    try:
        tree = orjson.loads(raw)
        if _quotes(raw) == _quotes(orjson.dumps(tree)):
            return tree
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        pass  # what orjson refuses is judged, with a place, by the exact reader
    return _parse_exactly(raw)


def _quotes(raw: bytes) -> int:
    # Every string counts 2, or 1 where it ends in an escaped backslash; a member lost to a duplicate name leaves
    # a difference. Escapes that are not orjson's own (\u005c) can only make the raw side larger: then the exact
    # reader decides.
    return raw.count(b'"') - raw.count(b'\\"')


def _parse_exactly(raw: bytes) -> Json:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"not UTF-8 at byte {error.start}") from None
    try:
        tree = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise DecodeError(f"not JSON at byte {len(text[: error.pos].encode())}") from None
    except RecursionError:
        raise DecodeError("nested too deep") from None
    except DecodeError:
        raise
    except ValueError:
        raise DecodeError("a number with too many digits") from None
    if _deeper(tree, MAX_DEPTH):
        raise DecodeError(f"nested deeper than {MAX_DEPTH} levels")
    return tree


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise AmbiguousError("duplicate member name in an object")
    return members


def _refuse_constant(_: str) -> Never:
    raise DecodeError("NaN and Infinity are not JSON")


def _deeper(tree: Json, limit: int) -> bool:
    level = [tree]
    for _ in range(limit + 1):
        inner: list[Json] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
            elif isinstance(value, list):
                inner.extend(value)
        if not inner:
            return False
        level = inner
    return any(isinstance(value, dict | list) for value in level)


def strings(document: Json) -> Iterator[tuple[Path, str]]:
    """Every string value of a document with its path, in document order (member names are not among them)."""
    stack: list[tuple[Path, Json]] = [((), document)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            stack.extend((((*path, name), item) for name, item in reversed(value.items())))
        elif isinstance(value, list):
            stack.extend(((*path, index), value[index]) for index in range(len(value) - 1, -1, -1))


PLAIN_NAME = re.compile(r"[A-Za-z_$]{1,24}")
"""Letters only, and few: a member's name that can hide nothing."""

LONG = 10**8
"""Integers from 9 digits on count as texts where tools speak: card and phone numbers come as numbers too."""


def leaves(document: Json) -> Iterator[tuple[Path, str]]:
    """Every text of an arbitrary value, in document order: strings, names that are more than a word (as `Key`), long
    integers."""
    stack: list[tuple[Path, Json]] = [((), document)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            for name, item in reversed(value.items()):
                stack.append(((*path, name), item))
                if not PLAIN_NAME.fullmatch(name):
                    stack.append(((*path, Key(name)), name))
        elif isinstance(value, list):
            stack.extend(((*path, index), value[index]) for index in range(len(value) - 1, -1, -1))
        elif isinstance(value, int) and abs(value) >= LONG:
            yield path, str(value)
