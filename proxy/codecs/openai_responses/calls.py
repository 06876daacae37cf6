"""Tool calls among items: which types of item are calls, what they are told as, and who carries them out.

An item's parts are `items`' business, a tool's results `results`'.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from proxy.codecs import Json
from proxy.codecs.walk import arguments, table, word


class Called(NamedTuple):
    """A call as policies see it."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    by_provider: bool
    server: str | None


_CALLS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "function_call": ("", ("arguments",)),
    "custom_tool_call": ("", ("input",)),
    "mcp_call": ("", ("arguments",)),
    "mcp_approval_request": ("", ("arguments",)),
    "mcp_list_tools": ("mcp_list_tools", ()),
    "tool_search_call": ("tool_search", ("arguments",)),
    "local_shell_call": ("local_shell", ("action",)),
    "shell_call": ("shell", ("action",)),
    "apply_patch_call": ("apply_patch", ("operation",)),
    "computer_call": ("computer", ("action", "actions")),
    "web_search_call": ("web_search", ("action", "arguments")),  # xAI gives arguments
    "file_search_call": ("file_search", ("queries",)),
    "code_interpreter_call": ("code_interpreter", ("code", "arguments")),
    "image_generation_call": ("image_generation", ("revised_prompt",)),
}
"""By item type: the tool's name where the item gives none, and the members that are its arguments."""

_OF_OTHERS: Final = ("arguments", "input", "action", "actions", "operation", "code", "queries")

_OF_CLIENT: Final = frozenset(
    [
        "function_call",
        "custom_tool_call",
        "mcp_approval_request",
        "local_shell_call",
        "apply_patch_call",
        "computer_call",
    ]
)
_OF_PROVIDER: Final = frozenset(
    [
        "mcp_call",
        "mcp_list_tools",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
    ]
)


def item_type(members: Mapping[str, Json]) -> str:
    """An item's type: only messages may leave it out (EasyInputMessage)."""
    return word(members.get("type")) or ("message" if "role" in members else "")


def is_call(kind: str) -> bool:
    """Whether items of this type are tool calls. Vendors add types of their own (xAI's `x_search_call`)."""
    return kind in _CALLS or kind.endswith("_call")


def argument_members(kind: str) -> tuple[str, ...]:
    """The members that are a call's arguments."""
    return _CALLS[kind][1] if kind in _CALLS else _OF_OTHERS


def read_call(item: Mapping[str, Json]) -> Called:
    """The call that an item is."""
    kind = item_type(item)
    name = word(item.get("name")) or (_CALLS[kind][0] if kind in _CALLS else kind.removesuffix("_call"))
    call_id = word(item.get("call_id")) or word(item.get("id")) or ""
    return Called(call_id, name, _arguments(item, kind), _by_provider(item, kind), word(item.get("server_label")))


def _arguments(item: Mapping[str, Json], kind: str) -> Mapping[str, Any]:
    given: dict[str, Any] = {}
    for member in argument_members(kind):
        value = item.get(member)
        if member == "arguments" and isinstance(value, str):
            given |= arguments(value)
        elif isinstance(value, dict):
            given |= value
        elif value is not None:
            given[member] = value
    return given


def _by_provider(item: Mapping[str, Json], kind: str) -> bool:
    """Whether the call has been carried out when the client reads of it."""
    if kind in _OF_CLIENT:
        return False
    if kind in _OF_PROVIDER:
        return True
    if kind == "shell_call":  # in OpenAI's container, or on the client's machine
        return str(table(item.get("environment")).get("type")).startswith("container")
    if kind == "tool_search_call" and item.get("execution") is not None:
        return item.get("execution") != "client"
    return not item.get("call_id")  # nobody can answer it
