"""Results of tools among items, and what stands in the place of a denied one.

Which shape a result has is the type of its item; its parts are `items`' business.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Part, Path, ToolResult
from proxy.codecs.openai_responses.calls import is_call, item_type
from proxy.codecs.splicing import Change, Replace
from proxy.codecs.walk import table, word

HOLDS: Final[Mapping[str, str]] = {
    "function_call_output": "output",
    "custom_tool_call_output": "output",
    "local_shell_call_output": "output",
    "shell_call_output": "output",
    "apply_patch_call_output": "output",
    "computer_call_output": "output",
    "program_output": "result",
    "mcp_approval_response": "reason",
}
"""By item type: the member that is the result."""

CARRIED_OUT: Final[Mapping[str, str]] = {
    "mcp_call": "output",
    "code_interpreter_call": "outputs",
    "file_search_call": "results",
}
"""The same for calls that the provider carried out: call and result in one item."""


def held_in(kind: str) -> str | None:
    """The member of an item of this type that is a tool's result. Results of unknown tools are told too."""
    return HOLDS.get(kind) or CARRIED_OUT.get(kind) or ("output" if kind.endswith("_call_output") else None)


def read_result(item: Mapping[str, Json], path: Path, parts: Sequence[Part], begin: int) -> ToolResult | None:
    """The tool's result that an item is, or holds beside the call. Its parts are among those from `begin` on."""
    kind = item_type(item)
    held = held_in(kind)
    if held is None or (is_call(kind) and item.get(held) is None):
        return None
    ids = ("call_id", "id") if is_call(kind) else ("call_id", "approval_request_id", "id")
    call_id = next((word(item[name]) or "" for name in ids if item.get(name)), "")
    name = "program" if kind == "program_output" else word(item.get("name")) or ""
    mine = tuple(index for index in range(begin, len(parts)) if parts[index].kind == "tool_result")
    server = word(item.get("server_label"))
    return ToolResult(call_id, name, (*path, held), mine, is_error=_failed(item), server=server)


def _failed(item: Mapping[str, Json]) -> bool:
    """Whether the item says that the tool failed."""
    return item.get("status") == "failed" or bool(item.get("error")) or item.get("approve") is False


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """A notice in the place of a result: a string for a string, else in the shape of the item's type."""
    item: Json = document
    for step in result.content[:-1]:
        item = item[step]
    members = table(item)
    kind, content = members.get("type"), members.get(str(result.content[-1]))
    if kind == "computer_call_output":
        return [Replace(result.content[:-1], _screenless(members, text))]
    changes: list[Change] = [Replace(result.content, orjson.dumps(_notice(kind, content, text)))]
    if kind == "mcp_approval_response":
        changes.append(Replace((*result.content[:-1], "approve"), b"false"))
    elif kind == "apply_patch_call_output":
        changes.append(Replace((*result.content[:-1], "status"), b'"failed"'))
    return changes


def _notice(kind: Json, content: Json, text: str) -> Json:
    if not isinstance(content, list):
        return text
    if kind == "shell_call_output":
        return [{"stdout": "", "stderr": text, "outcome": {"type": "exit", "exit_code": 1}}]
    if kind == "code_interpreter_call":
        return [{"type": "logs", "logs": text}]
    if kind == "file_search_call":
        return [{"file_id": "", "filename": "", "score": 0, "attributes": {}, "text": text}]
    return [{"type": "input_text", "text": text}]


BLANK: Final = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A picture of one pixel."""


def _screenless(item: Mapping[str, Json], text: str) -> bytes:
    """A computer's output can only be a picture: a blank one, and after it, as an item of its own, the notice."""
    blank = {**item, "output": {"type": "computer_screenshot", "image_url": BLANK}}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return orjson.dumps(blank) + b"," + orjson.dumps(said)
