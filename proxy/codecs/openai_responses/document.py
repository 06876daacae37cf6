"""Whole responses, and what a response says besides its output. What an item says is read in `items`."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Response, ToolCall, ToolResult
from proxy.codecs.openai_responses.items import item_copies, read_item
from proxy.codecs.openai_responses.results import read_result
from proxy.codecs.splicing import Change
from proxy.codecs.walk import Parts, array, number, table, word
from proxy.events import Usage

ECHOES: Final = frozenset(
    [
        "instructions",
        "tools",
        "tool_choice",
        "prompt",
        "text",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_key",
        "input",
    ]
)
"""Members of a response that say again what the client sent."""


def read_envelope(parts: Parts, response: Mapping[str, Json], path: Path) -> None:
    """Every part of a response but its output. What the client sent itself is told as definitions, not as an answer."""
    for name, value in response.items():
        if name in ECHOES:
            parts.members({name: value}, path, "system", "tool_definition", frozenset())
    parts.members(response, path, "other", "text", ECHOES | {"output"})


def read_response(document: Json) -> Response:
    """A response, a compaction, a list of items, or an error."""
    root = table(document)
    parts = Parts()
    calls: list[ToolCall] = []
    results: list[ToolResult] = []
    copies: list[tuple[Path, Change]] = []
    listed = "output" if "output" in root else "data"
    items = root.get(listed)
    for index, item in enumerate(array(items)):
        begin = len(parts.out)
        call = read_item(parts, item, (listed, index))
        result = read_result(table(item), (listed, index), parts.out, begin)
        if listed == "output":  # else a list of stored items: they were told when they came
            calls += [] if call is None else [call]
            results += [] if result is None else [result]
        copies += item_copies(item, (listed, index))
    if not isinstance(items, list):
        parts.walk(items, (listed,), "other", "text")
    read_envelope(parts, {name: value for name, value in root.items() if name != listed}, ())
    if not isinstance(document, dict):
        parts.walk_any(document, (), "other", "text")
    at = {part.path: index for index, part in enumerate(parts.out)}
    edited = [(at[path], change) for path, change in copies if path in at]
    return Response(
        word(root.get("model")),
        parts.out,
        calls,
        stop_reason(root),
        read_usage(root.get("usage")),
        results,
        keeps=keeps(root),
        when_edited=edited,
    )


def conversation_id(members: Mapping[str, Json]) -> str | None:
    """The conversation, kept by the provider, that a request or a response is part of."""
    conversation = members.get("conversation")
    return word(conversation) or word(table(conversation).get("id"))


def keeps(response: Mapping[str, Json]) -> str | None:
    """What a later request names to go on: the conversation, where the response is part of one, or the response."""
    return conversation_id(response) or (word(response.get("id")) if response.get("object") != "list" else None)


def stop_reason(response: Mapping[str, Json]) -> str | None:
    """Why the response ended: its status, or what left it incomplete."""
    status = word(response.get("status"))
    if status == "incomplete":
        return word(table(response.get("incomplete_details")).get("reason")) or status
    return None if status in ("queued", "in_progress") else status


def read_usage(used: Json) -> Usage | None:
    """The token counts of a response; None where it has none yet."""
    if not isinstance(used, dict) or not used:
        return None
    details = table(used.get("input_tokens_details"))
    return Usage(
        input=number(used.get("input_tokens")),
        output=number(used.get("output_tokens")),
        cache_read=number(details.get("cached_tokens")),
        cache_write=number(details.get("cache_write_tokens")),
    )
