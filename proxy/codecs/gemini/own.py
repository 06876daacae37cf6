"""What midstream says itself in this format: texts put into a request, results withheld, refusals, whole answers."""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from proxy.codecs import Json, Path, ToolResult
from proxy.codecs.framings import Event
from proxy.codecs.gemini.writer import at, text_part
from proxy.codecs.splicing import Append, Change, Remove, Replace, TextChange
from proxy.codecs.walk import array, table
from proxy.decision import TextEdit

_RESULTS: Final = ("function", "tool")
"""Roles of contents that hold results and nothing else."""


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the last content that is not the model's. ValueError where there is none."""
    members = table(document)
    path: Path = ("contents",)
    if isinstance(members.get("request"), dict):  # Code Assist
        members, path = members["request"], ("request", "contents")
    contents = members.get("contents")
    if isinstance(contents, dict):
        return _at_end_of(contents, path, text, None)
    every = array(contents)
    for index in range(len(every) - 1, -1, -1):
        content = table(every[index])
        if content and _is_user(content.get("role")):
            return _at_end_of(content, (*path, index), text, path if index == len(every) - 1 else None)
    raise ValueError("a request without a user's content has no place for a text")


def _is_user(role: Json) -> bool:
    return role is None or role == "user" or role in _RESULTS


def _at_end_of(content: Mapping[str, Json], path: Path, text: str, after: Path | None) -> list[Change]:
    """In the content itself; else in one of its own, added to the array at `after`."""
    parts = content.get("parts")
    if isinstance(parts, list) and not (after and content.get("role") in _RESULTS):
        return [Append((*path, "parts"), text_part(text))]
    only = parts.get("text") if isinstance(parts, dict) else None
    if isinstance(only, str):
        return [TextChange((*path, "parts", "text"), [TextEdit(len(only), len(only), "\n\n" + text)])]
    if after is None:
        raise ValueError("the last content of a user's has no place for a text")
    return [Append(after, orjson.dumps({"role": "user", "parts": [{"text": text}]}))]


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """The notice as the function's error, for its whole response; media beside it goes."""
    changes: list[Change] = [Replace(result.content, orjson.dumps({"error": text}))]
    holder = result.content[:-1]
    if "parts" in table(at(document, holder)):
        changes.append(Remove((*holder, "parts")))
    return changes


_STATUS: Final[Mapping[int, str]] = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    407: "UNAUTHENTICATED",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error(status: int, message: str) -> dict[str, Json]:
    """google.rpc.Status, as HTTP APIs map it (cloud.google.com/apis/design/errors)."""
    name = _STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"code": status, "message": message, "status": name}


def refusal(status: int, message: str) -> bytes:
    """Google's error object."""
    return orjson.dumps({"error": error(status, message)})


def message(model: str | None, text: str) -> bytes:
    """An answer that says `text`."""
    content = {"role": "model", "parts": [{"text": text}]}
    usage = {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}
    return orjson.dumps(
        {
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": usage,
            "modelVersion": model or "midstream",
            "responseId": "midstream",
        }
    )


def message_stream(model: str | None, text: str) -> Sequence[Event]:
    """The same as the only chunk of a stream."""
    return (Event(None, message(model, text)),)
