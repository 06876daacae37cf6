"""The parts and the call of one content block: a union told by its member's name, in requests and answers alike."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from proxy.codecs import Json, Kind, Path, ToolCall
from proxy.codecs.walk import Parts, array, table, word

BY_PROVIDER: Final = "server_tool_use"
"""`toolUse.type` of a tool that Bedrock carries out itself."""

TEXT_FORMATS: Final = frozenset({"txt", "md", "csv", "html"})
"""Documents whose bytes are text (API reference, DocumentBlock)."""

_TEXT: Final = frozenset({"text", "guardContent", "citationsContent", "searchResult", "cachePoint"})
_MEDIA: Final = frozenset({"image", "video", "audio"})
_CALL: Final = frozenset({"name", "input"})


def read_block(parts: Parts, block: Json, path: Path, role: str) -> ToolCall | None:
    """The parts of one block; its call, if it is one."""
    call: ToolCall | None = None
    members = table(block)
    for name, value in members.items():
        here = (*path, name)
        if name == "toolUse" and isinstance(value, dict):
            call = _tool_use(parts, value, path)
        elif name == "toolResult" and isinstance(value, dict):
            _tool_result(parts, value, here)
        elif name == "document" and isinstance(value, dict):
            _document(parts, value, here, role, "text")
        elif name == "text" and isinstance(value, str):
            parts.add(here, value, role, "text")
        elif name in _KINDS:
            parts.walk(value, here, *_KINDS[name](role))
        else:
            parts.members({name: value}, path, "other", "text", frozenset())
    if not members:
        parts.walk(block, path, "other", "text")
    return call


def _kinds() -> Iterator[tuple[str, Callable[[str], tuple[str, Kind]]]]:
    for name in _TEXT:
        yield name, lambda role: (role, "text")
    for name in _MEDIA:
        yield name, lambda role: (role, "media")
    for name in ("toolAddition", "toolRemoval"):
        yield name, lambda _: ("system", "tool_definition")
    yield "reasoningContent", lambda role: (role, "reasoning")


_KINDS: Final = dict(_kinds())


def _tool_use(parts: Parts, members: Mapping[str, Json], path: Path) -> ToolCall:
    begin = len(parts.out)
    here = (*path, "toolUse")
    name, given = members.get("name"), members.get("input")
    if isinstance(name, str):
        parts.add((*here, "name"), name, "assistant", "tool_call", sealed=True)
    else:
        parts.walk(name, (*here, "name"), "other", "text")
    parts.walk_any(given, (*here, "input"), "assistant", "tool_call")
    parts.members(members, here, "assistant", "tool_call", _CALL)
    mine = tuple(range(begin, len(parts.out)))
    by_provider = members.get("type") == BY_PROVIDER
    call_id = word(members.get("toolUseId")) or ""
    return ToolCall(call_id, word(name) or "", arguments(given), path, mine, by_provider=by_provider)


def arguments(given: Json) -> Mapping[str, Json]:
    """A call's `input` as arguments, whatever came in its place."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}


def _tool_result(parts: Parts, members: Mapping[str, Json], path: Path) -> None:
    read_content(parts, members.get("content"), (*path, "content"))
    parts.members(members, path, "tool", "tool_result", frozenset({"content"}))


def read_content(parts: Parts, content: Json, path: Path) -> None:
    """What a tool gave."""
    if isinstance(content, list):
        for index, item in enumerate(content):
            _result_item(parts, item, (*path, index))
    else:
        parts.walk(content, path, "tool", "tool_result")


def _result_item(parts: Parts, item: Json, path: Path) -> None:
    for name, value in table(item).items():
        here = (*path, name)
        if name == "json":
            parts.walk_any(value, here, "tool", "tool_result")
        elif name == "document" and isinstance(value, dict):
            _document(parts, value, here, "tool", "tool_result")
        else:
            parts.members({name: value}, path, "tool", "tool_result", frozenset())
    if not isinstance(item, dict):
        parts.walk(item, path, "tool", "tool_result")


def _document(parts: Parts, members: Mapping[str, Json], path: Path, role: str, kind: Kind) -> None:
    text = _text_bytes(members)
    if text is None:
        parts.members(members, path, role, kind, frozenset())
        return
    source = (*path, "source")
    parts.add((*source, "bytes"), text, role, kind)
    parts.members(table(members.get("source")), source, role, kind, frozenset({"bytes"}))
    parts.members(members, path, role, kind, frozenset({"source"}))


def _text_bytes(document: Mapping[str, Json]) -> str | None:
    """The bytes of a document that is a text."""
    is_text = document.get("format") in _FORMATS
    return word(table(document.get("source")).get("bytes")) if is_text else None


_FORMATS: Final[tuple[Json, ...]] = tuple(TEXT_FORMATS)
"""As a tuple: what stands in the place of a format need not be hashable."""


def text_documents(document: Json) -> Iterator[Path]:
    """Where a request holds documents whose bytes are text."""
    for at, message in enumerate(array(table(document).get("messages"))):
        for index, block in enumerate(array(table(message).get("content"))):
            path: Path = ("messages", at, "content", index)
            yield from _of_block(table(block), path)
            result = table(block).get("toolResult")
            for inner, item in enumerate(array(table(result).get("content"))):
                yield from _of_block(table(item), (*path, "toolResult", "content", inner))


def _of_block(block: Mapping[str, Json], path: Path) -> Iterator[Path]:
    document = block.get("document")
    if isinstance(document, dict) and _text_bytes(document) is not None:
        yield (*path, "document", "source", "bytes")
