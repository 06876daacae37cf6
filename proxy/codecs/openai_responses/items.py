"""The parts of one item, of a request, a whole response or a stream alike (wire-formats §2.1).

What a call is told as is `calls`' business, what becomes of a denied result `results`'. No state here.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from proxy.codecs import Json, Kind, Path, ToolCall
from proxy.codecs.openai_responses.calls import argument_members, is_call, item_type, read_call
from proxy.codecs.openai_responses.results import held_in
from proxy.codecs.splicing import Change, Replace
from proxy.codecs.walk import Parts, array, table, word

ROLES: Final = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant"}
_KNOWN: Final = frozenset(
    [
        "text",
        "input_text",
        "output_text",
        "refusal",
        "input_image",
        "input_file",
        "input_audio",
        "computer_screenshot",
    ]
)
_REASONING: Final = frozenset({"reasoning_text", "summary_text"})
_DEFINE: Final = frozenset({"tool_search_output", "additional_tools"})
_NAMES: Final = ("name", "namespace", "server_label")
_COPIES: Final = ("logprobs", "annotations")


def read_item(parts: Parts, item: Json, path: Path) -> ToolCall | None:
    """The parts of one item; the call, if it is one."""
    members = table(item)
    kind = item_type(members)
    if kind == "message":
        _message(parts, members, path)
    elif kind == "reasoning":
        parts.walk(item, path, "assistant", "reasoning")
    elif is_call(kind):
        return _call(parts, members, path, kind)
    elif kind in _DEFINE:
        _one(parts, members, path, ("system", "tool_definition", "tools"))
    elif kind == "program":
        _one(parts, members, path, ("assistant", "tool_call", "code"))
    elif (held := held_in(kind)) is not None:
        _one(parts, members, path, ("tool", "tool_result", held))
    else:
        parts.walk(item, path, "other", "text")
    return None


def _message(parts: Parts, members: Mapping[str, Json], path: Path) -> None:
    spoken = members.get("role")
    role = ROLES.get(spoken if isinstance(spoken, str) else "", "other")
    content = members.get("content")
    here: Path = (*path, "content")
    if isinstance(content, list):
        for index, piece in enumerate(content):
            read_piece(parts, piece, (*here, index), role)
    else:
        parts.walk(content, here, role, "text")
    parts.members(members, path, "other", "text", frozenset({"content"}))


def read_piece(parts: Parts, piece: Json, path: Path, role: str = "assistant") -> None:
    """One piece of a message's or a reasoning item's content."""
    members = table(piece)
    kind = word(members.get("type"))
    if not members:
        parts.walk(piece, path, role, "text")
    elif kind in _REASONING:
        parts.walk(piece, path, role, "reasoning")
    else:
        # Log-probabilities are the text once more, token by token.
        skip = frozenset({"logprobs"}) if _repeats(members, "logprobs") else frozenset[str]()
        parts.members(members, path, role if kind in _KNOWN else "other", "text", skip)


def _repeats(piece: Mapping[str, Json], member: str) -> bool:
    return bool(isinstance(piece.get("text"), str) and piece["text"] and piece.get(member))


def piece_copies(piece: Json, path: Path) -> Iterator[tuple[Path, Change]]:
    """What follows when a piece's text is edited: its log-probabilities go, and annotations with offsets into it."""
    members = table(piece)
    for member in _COPIES:
        if _repeats(members, member):
            yield (*path, "text"), Replace((*path, member), b"[]")


def item_copies(item: Json, path: Path) -> Iterator[tuple[Path, Change]]:
    """The same for every piece of a message."""
    members = table(item)
    if item_type(members) == "message":
        for index, piece in enumerate(array(members.get("content"))):
            yield from piece_copies(piece, (*path, "content", index))


def _one(parts: Parts, members: Mapping[str, Json], path: Path, what: tuple[str, Kind, str]) -> None:
    """One member of this role and kind; all others are words about the item."""
    role, kind, name = what
    parts.walk(members.get(name), (*path, name), role, kind)
    parts.members(members, path, "other", "text", frozenset({name}))


def _call(parts: Parts, members: Mapping[str, Json], path: Path, kind: str) -> ToolCall:
    begin = len(parts.out)
    given = argument_members(kind)
    for name in given:
        _argument(parts, members.get(name), (*path, name))
    for name in _NAMES:
        if isinstance(members.get(name), str):
            parts.add((*path, name), members[name], "assistant", "tool_call", sealed=True)
    mine = tuple(range(begin, len(parts.out)))
    named = {name for name in _NAMES if isinstance(members.get(name), str)}
    _rest(parts, {name: value for name, value in members.items() if name not in {*given, *named}}, path, kind)
    call = read_call(members)
    return ToolCall(call.call_id, call.name, call.arguments, path, mine, call.by_provider, call.server, form=kind)


def _argument(parts: Parts, value: Json, path: Path) -> None:
    if isinstance(value, str):
        parts.add(path, value, "assistant", "tool_call", json=path[-1] == "arguments")
    else:
        parts.walk_any(value, path, "assistant", "tool_call")


def _rest(parts: Parts, members: Mapping[str, Json], path: Path, kind: str) -> None:
    """What stands beside a call's arguments: the result of what the provider carried out, definitions, words."""
    for name, value in members.items():
        here = (*path, name)
        if name in ("output", "outputs", "results", "error"):
            parts.walk(value, here, "tool", "tool_result")
        elif name == "result" and kind == "image_generation_call":  # in base64
            parts.walk(value, here, "assistant", "media", sealed=True)
        elif name == "tools":
            parts.walk(value, here, "system", "tool_definition")
        else:
            parts.members({name: value}, path, "other", "text", frozenset())
