"""Turning protocol messages into parts by the names of their members: what is an id, a word, media, free JSON.

For protocols whose objects have fixed names and whose other side is not trusted (MCP, A2A): here a word or a payload is
only what looks like one, and every other string is a text. Which names those are is the codecs' business.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.codecs import Json, Key, Kind, Path
from proxy.codecs.trees import PLAIN_NAME
from proxy.codecs.walk import STRUCTURE, Parts


class Vocabulary(NamedTuple):
    """The names of one protocol's members that are more than a text."""

    ids: frozenset[str]
    """Their strings are ids, tokens, cursors or sealed state that the other side must get back unchanged."""
    words: frozenset[str]
    """Their strings are enumerations, versions, media types: sealed where they look like one word, else texts."""
    media: Mapping[str, frozenset[str]]
    """Payloads in base64, and the `type` of the objects in which they are (none: in any)."""
    free: frozenset[str]
    """Arbitrary JSON of a user, a tool or a schema: nothing in it belongs to the protocol."""
    defines: frozenset[str]
    """What is in them describes tools."""
    named: frozenset[str]
    """Objects and lists of objects whose `name` identifies a tool or a prompt, and is no text."""
    keyed: frozenset[str]
    """Objects whose member names are ids."""
    known: frozenset[str]
    """Long names of the protocol's own, which are no texts."""


WORD: Final = re.compile(r"[\w.+/:;=-]{1,64}", re.ASCII)
"""What looks like one word."""

_BASE64: Final = re.compile(r"(?:data:[\w.+/;=-]*,)?[A-Za-z0-9+/_=\r\n-]*+", re.ASCII)


def read(parts: Parts, value: Json, path: Path, role: str, kind: Kind, names: Vocabulary, inside: str = "") -> None:
    """Every string in `value`; `inside` is the name of the member that holds it."""
    if isinstance(value, dict):
        for name, item in value.items():
            here = (*path, name)
            if not (PLAIN_NAME.fullmatch(name) or name in names.known):
                parts.add((*path, Key(name)), name, role, kind, sealed=inside in names.keyed)
            if isinstance(item, str):
                _string(parts, value, name, here, role, kind, names, inside)
            elif name in names.free or _is_data(name, item):
                parts.walk_any(item, here, role, kind)
            elif isinstance(item, dict | list):
                read(parts, item, here, role, "tool_definition" if name in names.defines else kind, names, name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            read(parts, item, (*path, index), role, kind, names, inside)
    elif isinstance(value, str):
        parts.add(path, value, role, kind, sealed=inside in names.ids)


def _is_data(name: str, item: Json) -> bool:
    """A user's answers to a form stand in `content`, where elsewhere a block of content does."""
    return name == "content" and isinstance(item, dict) and "type" not in item


def _string(
    parts: Parts,
    members: Mapping[str, Json],
    name: str,
    path: Path,
    role: str,
    kind: Kind,
    names: Vocabulary,
    inside: str,
) -> None:
    text = members[name]
    if name in names.ids:
        parts.add(path, text, role, kind, sealed=True)
    elif name in names.words or (name == "name" and (inside in names.named or members.get("type") == "tool_use")):
        word = WORD.fullmatch(text) is not None
        if not (word and name in STRUCTURE):
            parts.add(path, text, role, kind, sealed=word)
    elif _is_media(members, name, text, names):
        parts.add(path, text, role, "media", sealed=True)
    else:
        parts.add(path, text, role, kind)


def _is_media(members: Mapping[str, Json], name: str, text: str, names: Vocabulary) -> bool:
    """Whether a string is a payload, and no text in the place of one."""
    types = names.media.get(name)
    if types is None or (types and members.get("type") not in types):
        return False
    return _BASE64.fullmatch(text) is not None
