"""What conditions see of an event: the fields they name, as plain values the CEL library can take.

No expression is known here. Three things are changed on the way:

- what is absent (no model, no stop reason, no usage) is empty: `""`, `0`;
- nested arguments can be walked: beside its own members, `tool.arguments` has every scalar further in under its JSON
  Pointer (RFC 6901), so `tool.arguments.exists(k, …)` sees `tool.arguments['/edits/0/path']` too;
- U+0000 and lone surrogates become U+FFFD: the library cuts a string at the first and refuses the second.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from proxy.decision import PartFinding
from proxy.events import Event, EventPart, Response, Tool, Usage


class UndecidableError(Exception):
    """An evaluation that gave neither true nor false. Its message holds no text of the event (promise 5)."""


class Need(NamedTuple):
    """A field that an expression reads: `tool.name`. Without a field, all of the root's."""

    root: str
    field: str | None


def variables(event: Event, findings: Sequence[PartFinding], wanted: Iterable[Need]) -> dict[str, Any]:
    """The values of one event for all conditions that read no more than `wanted`."""
    shown: dict[str, Any] = {}
    for root, field in wanted:
        if field is None or root not in FIELDS:
            shown[root] = _root(event, findings, root)
        elif (members := shown.setdefault(root, {})) is not None and field not in members:
            members.update(_members(event, root, (field,)))
    return shown


def _root(event: Event, findings: Sequence[PartFinding], root: str) -> Any:
    if root == "findings":
        return [_finding(found) for found in findings]
    if root in FIELDS:
        return _members(event, root, FIELDS[root])
    if root == "point":
        return event.point.value
    value = getattr(event, root)
    return _clean(value.model_dump() if root in ("agent", "flow") else "" if value is None else value)


def _members(event: Event, root: str, fields: Iterable[str]) -> dict[str, Any]:
    subject = getattr(event, root)
    if subject is None:
        raise UndecidableError(f"the event has no {root}")
    return {name: FIELDS[root][name](subject) for name in fields if name in FIELDS[root]}


def _finding(found: PartFinding) -> dict[str, Any]:
    part, (cls, kind, rule, start, end, score) = found
    return {"part": part, "class": cls, "kind": kind, "rule": rule, "start": start, "end": end, "score": score}


def _parts(parts: Iterable[EventPart]) -> list[dict[str, str]]:
    return [{"role": part.role, "kind": part.kind, "text": _text(part.text)} for part in parts]


def _usage(response: Response) -> dict[str, int]:
    return (response.usage or Usage()).model_dump()


def _result(tool: Tool) -> dict[str, Any]:
    result = tool.result
    return {"parts": _parts(result.parts), "is_error": result.is_error} if result else {"parts": [], "is_error": False}


FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "request": {
        "system": lambda request: _parts(request.system),
        "messages": lambda request: _parts(request.messages),
        "new_parts": lambda request: _parts(request.new_parts),
        "tools": lambda request: [_text(name) for name in request.tools],
        "params": lambda request: _clean(request.params),
    },
    "response": {
        "parts": lambda response: _parts(response.parts),
        "stop_reason": lambda response: response.stop_reason or "",
        "usage": _usage,
    },
    "tool": {
        "call_id": lambda tool: _text(tool.call_id),
        "name": lambda tool: _text(tool.name),
        "arguments": lambda tool: _walkable(tool.arguments),
        "transport": lambda tool: tool.transport,
        "server": lambda tool: _text(tool.server or ""),
        "result": _result,
    },
}
"""How each field of the large objects is shown. A test holds the names against the models of `events`."""


_INT64: Final = range(-(2**63), 2**64)


def _text(text: str) -> str:
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")


def _clean(value: Any) -> Any:
    """`value` (parsed JSON) with texts and numbers that the library can take."""
    match value:
        case str():
            return _text(value)
        case dict():
            return {_text(str(key)): _clean(member) for key, member in value.items()}
        case list() | tuple():
            return [_clean(member) for member in value]
        case int() if value not in _INT64:
            return float(value) if abs(value) < 1 << 1000 else float("inf")
        case _:
            return value


def _walkable(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments with every nested scalar also under its JSON Pointer. No name hides another: a pointer that is taken
    by a real member gets one more slash in front."""
    shown: dict[str, Any] = _clean(arguments)
    nested = [(name, value) for name, value in shown.items() if isinstance(value, dict | list)]
    for name, value in nested:
        for pointer, scalar in _scalars(f"/{_token(name)}", value):
            while pointer in shown:
                pointer = f"/{pointer}"
            shown[pointer] = scalar
    return shown


def _scalars(pointer: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict | list):
        yield pointer, value
        return
    for name, member in value.items() if isinstance(value, dict) else enumerate(value):
        yield from _scalars(f"{pointer}/{_token(str(name))}", member)


def _token(name: str) -> str:
    """RFC 6901 section 3: `~` is written `~0` and `/` is written `~1`."""
    return name.replace("~", "~0").replace("/", "~1")
