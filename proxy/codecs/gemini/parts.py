"""The parts of one content (`contents[].parts[]`), of a request, a whole answer or a stream alike.

Text that grows over a stream is `candidate`'s; which call a result answers, the history's (`document`).
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from proxy.codecs import Json, Kind, Path, ToolCall, ToolResult
from proxy.codecs.gemini.inline import is_text
from proxy.codecs.gemini.names import camel, member, spelling
from proxy.codecs.walk import Parts, array, table, word


class PartRead(NamedTuple):
    """What a part is, beside its texts. Ids may be empty still."""

    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    """What a client's functions gave back."""
    outcomes: tuple[ToolResult, ...] = ()
    """What Google's own tools gave back."""


_NOTHING: Final = PartRead()

CODE: Final = "code_execution"
"""What Google calls the tool that runs `executableCode`."""


def read_part(parts: Parts, part: Json, path: Path, role: str) -> PartRead:
    """The texts of one part. A part has one kind of data, but whatever it has is read."""
    members = table(part)
    if not members:
        parts.walk(part, path, role, "text")
        return _NOTHING
    kind: Kind = "reasoning" if members.get("thought") is True else "text"
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    outcomes: list[ToolResult] = []
    for name, value in members.items():
        read = _DATA.get(camel(name))
        here = (*path, name)
        if name == "text" and isinstance(value, str):
            # A thought's summary is signed in the same part or a later one, and no client needs it edited.
            parts.add(here, value, role, kind, sealed=kind == "reasoning")
        elif read is not None and isinstance(value, dict):
            found = read(parts, value, here)
            calls += found.calls
            results += found.results
            outcomes += found.outcomes
        elif camel(name) in _BLOBS and isinstance(value, dict):
            read_blob(parts, value, here, role)
        else:
            parts.members({name: value}, path, role, kind, frozenset())
    return PartRead(tuple(calls), tuple(results), tuple(outcomes))


def read_function_call(parts: Parts, call: Mapping[str, Json], path: Path) -> PartRead:
    """`functionCall`, in an element of its own (Live) or in the part that holds it."""
    return _call(parts, call, path, "name", "args")


def _call(parts: Parts, call: Mapping[str, Json], path: Path, named: str, given: str) -> PartRead:
    begin = len(parts.out)
    for name, value in call.items():
        here = (*path, name)
        if camel(name) == named and isinstance(value, str):
            parts.add(here, value, "assistant", "tool_call", sealed=True)
        elif camel(name) == given:
            parts.walk_any(value, here, "assistant", "tool_call")
        else:
            parts.members({name: value}, path, "assistant", "tool_call", frozenset())
    mine = tuple(range(begin, len(parts.out)))
    by_provider = named != "name"
    called = word(member(call, named)) or ""
    arguments = as_arguments(member(call, given))
    element = path if by_provider or isinstance(path[-1], int) else path[:-1]
    return PartRead((ToolCall(word(call.get("id")) or "", called, arguments, element, mine, by_provider),))


def as_arguments(given: Json) -> Mapping[str, Json]:
    """A call's `args` as arguments, whatever came in their place."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}


def _tool_call(parts: Parts, call: Mapping[str, Json], path: Path) -> PartRead:
    """`toolCall`: Google has carried it out when the client reads of it. Its tool has a type and no name."""
    return _call(parts, call, path, "toolType", "args")


def _code(parts: Parts, code: Mapping[str, Json], path: Path) -> PartRead:
    """`executableCode`: Google has run it already."""
    begin = len(parts.out)
    parts.walk(code, path, "assistant", "tool_call")
    mine = tuple(range(begin, len(parts.out)))
    arguments = {name: value for name, value in code.items() if name != "id"}
    return PartRead((ToolCall(word(code.get("id")) or "", CODE, arguments, path, mine, True),))


def _outcome(parts: Parts, value: Mapping[str, Json], path: Path) -> PartRead:
    """`toolResponse`, `codeExecutionResult`: what Google's own tools gave back."""
    begin = len(parts.out)
    for name, item in value.items():
        if camel(name) == "response":
            parts.walk_any(item, (*path, name), "tool", "tool_result")
        else:
            parts.members({name: item}, path, "tool", "tool_result", frozenset())
    mine = tuple(range(begin, len(parts.out)))
    called = word(member(value, "toolType")) or CODE
    failed = value.get("outcome") not in (None, "OUTCOME_OK", 1) or bool(table(value.get("response")).get("error"))
    return PartRead(outcomes=(ToolResult(word(value.get("id")) or "", called, path, mine, failed, parts.new),))


def read_function_response(parts: Parts, value: Mapping[str, Json], path: Path) -> PartRead:
    """`functionResponse`: any object, and media in parts of its own."""
    begin = len(parts.out)
    for name, item in value.items():
        here = (*path, name)
        if name == "name" and isinstance(item, str):
            parts.add(here, item, "tool", "tool_result", sealed=True)
        elif name == "response":
            parts.walk_any(item, here, "tool", "tool_result")
        elif name == "parts" and isinstance(item, list):
            for index, inner in enumerate(item):
                _result_part(parts, inner, (*here, index))
        else:
            parts.members({name: item}, path, "tool", "tool_result", frozenset())
    mine = tuple(range(begin, len(parts.out)))
    error = bool(table(value.get("response")).get("error"))
    called, call_id = word(value.get("name")) or "", word(value.get("id")) or ""
    return PartRead(results=(ToolResult(call_id, called, (*path, "response"), mine, error, parts.new),))


def _result_part(parts: Parts, part: Json, path: Path) -> None:
    for name, value in table(part).items():
        if camel(name) in _BLOBS and isinstance(value, dict):
            read_blob(parts, value, (*path, name), "tool")
        else:
            parts.members({name: value}, path, "tool", "tool_result", frozenset())
    if not table(part):
        parts.walk(part, path, "tool", "tool_result")


def read_blob(parts: Parts, blob: Mapping[str, Json], path: Path, role: str) -> None:
    """`inlineData`, `fileData`: media that is never edited, a text file (decoded by `inline`), an address, a name."""
    data = blob.get("data")
    if isinstance(data, str):
        parts.add((*path, "data"), data, role, "media", sealed=not is_text(blob))
    parts.members(blob, path, role, "media", frozenset({"data"}) if isinstance(data, str) else frozenset())


_BLOBS: Final = frozenset({"inlineData", "fileData"})
_DATA: Final[Mapping[str, Callable[[Parts, Mapping[str, Json], Path], PartRead]]] = {
    "functionCall": read_function_call,
    "functionResponse": read_function_response,
    "toolCall": _tool_call,
    "toolResponse": _outcome,
    "executableCode": _code,
    "codeExecutionResult": _outcome,
}


def held(content: Mapping[str, Json], path: Path) -> list[tuple[Path, Json]]:
    """The parts of a content with their places; a single one may stand there without an array."""
    value = content.get("parts")
    if isinstance(value, dict):
        return [((*path, "parts"), value)]
    return [((*path, "parts", index), part) for index, part in enumerate(array(value))]


SIGNATURE: Final = "thoughtSignature"


def signature(part: Mapping[str, Json]) -> str | None:
    """The name under which a part carries a signature, if it does."""
    name = spelling(part, SIGNATURE)
    return name if part.get(name) else None
