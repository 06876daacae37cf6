"""Tool calls and results, which have no ids in this format: a result names its call by repeating it."""

from collections.abc import Mapping

import orjson

from proxy.codecs import Json, Path, ToolCall, ToolResult
from proxy.codecs.walk import Parts, array, table, word


def read_calls(parts: Parts, calls: Json, path: Path) -> list[ToolCall]:
    """The calls of a list at `path`."""
    if not isinstance(calls, list):
        parts.walk(calls, path, "other", "text")
        return []
    return [found for index, call in enumerate(calls) for found in _call(parts, call, (*path, index))]


def _call(parts: Parts, call: Json, path: Path) -> list[ToolCall]:
    members = table(call)
    if not members:
        parts.walk(call, path, "other", "text")
        return []
    begin = len(parts.out)
    for member, value in members.items():
        if member == "name" and isinstance(value, str):
            parts.add((*path, "name"), value, "assistant", "tool_call", sealed=True)
        else:
            parts.walk_any(value, (*path, member), "assistant", "tool_call")
    mine = tuple(range(begin, len(parts.out)))
    return [ToolCall("", word(members.get("name")) or "", parameters(members.get("parameters")), path, mine)]


def parameters(given: Json) -> Mapping[str, Json]:
    """A call's `parameters` as arguments, whatever came in their place."""
    if isinstance(given, dict):
        return given
    return {} if given is None else {"input": given}


def read_results(
    parts: Parts, results: Json, path: Path, calls: dict[str, tuple[str, Mapping[str, Json]]]
) -> list[ToolResult]:
    """The results of a list at `path`; `calls` learns what each is the result of, by a name made up here."""
    found: list[ToolResult] = []
    for index, result in enumerate(array(results)):
        found += _result(parts, result, (*path, index), calls)
    if not isinstance(results, list):
        parts.walk(results, path, "tool", "tool_result")
    return found


def _result(
    parts: Parts, result: Json, path: Path, calls: dict[str, tuple[str, Mapping[str, Json]]]
) -> list[ToolResult]:
    members = table(result)
    if not members:
        parts.walk(result, path, "tool", "tool_result")
        return []
    said = table(members.get("call"))
    made = _call(parts, said, (*path, "call")) if said else []
    begin = len(parts.out)
    for member, value in members.items():
        if member != "call" or not said:
            parts.walk_any(value, (*path, member), "tool", "tool_result")
    call_id = f"result-{len(calls)}"
    name = made[0].name if made else ""
    calls[call_id] = (name, made[0].arguments if made else {})
    mine = tuple(range(begin, len(parts.out)))
    return [ToolResult(call_id, name, (*path, "outputs"), mine, new=parts.new)]


def output(notice: str) -> bytes:
    """A result's `outputs` that say only `notice`."""
    return orjson.dumps([{"output": notice}])
