"""How a scene is shown: two columns of plain text, or JSON. Pure: takes what was played, gives strings."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import orjson

from proxy.demo.agent import Got
from proxy.demo.answers import Answer, Call, Reply
from proxy.demo.scenes import Played, Scene, Spent

WIDTH = 100
_COLUMN = (WIDTH - 3) // 2
_CUT = "▏"
"""Stands where one chunk of a stream ends and the next begins."""

_GREEN, _RED, _BOLD, _DIM, _OFF = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[2m", "\x1b[0m"


class Paint:
    """Colours, or none."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, code: str, text: str) -> str:
        return f"{code}{text}{_OFF}" if self._colour else text


def asked(request: Mapping[str, Any]) -> list[str]:
    """The messages of a request body, a line each."""
    return [line for message in request["messages"] for line in _message(message)]


def _message(message: Mapping[str, Any]) -> Iterator[str]:
    content = message["content"]
    if isinstance(content, str):
        yield f"{message['role']}: {content}"
        return
    for block in content:
        match block["type"]:
            case "tool_use":
                yield "calls " + _called(block["name"], block["input"])
            case "tool_result":
                yield f"tool result: {block['content']}"
            case _:
                yield f"{message['role']}: {block.get('text', '')}"


def _called(name: str, arguments: Any) -> str:
    pairs = (f"{key}={orjson.dumps(value).decode()}" for key, value in arguments.items())
    return f"{name}({', '.join(pairs)})"


def replied(reply: Reply) -> list[str]:
    """What the provider sent, with the cuts between chunks."""
    assert isinstance(reply, Answer)  # no scene answers anything else
    return [_part(part) for part in reply.content]


def _part(part: Any) -> str:
    if isinstance(part, Call):
        return f"calls {part.name} {_CUT.join(part.fragments)}"
    return _CUT.join(part.pieces)


def got(result: Got) -> list[str]:
    """What one request gave the agent."""
    if result.error:
        return [f"HTTP {result.status}: {result.error}"]
    return [*([result.text] if result.text else []), *("calls " + _called(*called) for called in result.calls)]


def columns(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """Two wrapped columns beside each other."""
    return [f"{a:<{_COLUMN}} │ {b}".rstrip() for a, b in zip_longest(_wrap(left), _wrap(right), fillvalue="")]


def _wrap(paragraphs: Sequence[str]) -> list[str]:
    broken = (line for paragraph in paragraphs for line in paragraph.split("\n"))
    return [line for text in broken for line in textwrap.wrap(text, _COLUMN) or [""]]


def scene(number: int, shown: Scene, played: Played, paint: Paint) -> str:
    """One scene, for people."""
    lines = [paint(_BOLD, f"{number}. {shown.title}"), paint(_DIM, f"   {shown.api}, streamed")]
    for heads, left, right in _pairs(played):
        lines += ["", paint(_DIM, columns([heads[0]], [heads[1]])[0]), *columns(left, right)]
    lines += ["", f"rules fired: {', '.join(played.rules) or 'none'}", f"spent: {played.spent}"]
    lines += [_claim(check.claim, check.holds(played), paint) for check in shown.checks]
    return "\n".join(lines)


def _pairs(played: Played) -> Iterator[tuple[tuple[str, str], Sequence[str], Sequence[str]]]:
    """The two exchanges of a scene's columns: upward, then downward. A request that never arrived leaves a gap."""
    for index, request in enumerate(played.asked):
        arrived = index < len(played.received)
        saw = asked(played.received[index].json) if arrived else ["(nothing: the request was refused)"]
        sent = replied(played.replies[index]) if arrived else ["(nothing)"]
        yield ("the agent sent", "the provider saw"), asked(request), saw
        yield ("the provider sent", "the agent got"), sent, got(played.got[index])


def _claim(claim: str, holds: bool, paint: Paint) -> str:
    return paint(_GREEN, f"  ✓ {claim}") if holds else paint(_RED, f"  ✗ FAILED: {claim}")


def closing(played: Sequence[Played], failed: Sequence[str], paint: Paint) -> str:
    """The last lines: what all of it cost, and whether every claim held."""
    total = Spent.total(shown.spent for shown in played)
    if failed:
        return paint(_RED, f"{len(failed)} checks failed: {'; '.join(failed)}")
    return paint(_BOLD, f"Every check held. In all: {total}.")


def document(shown: Scene, played: Played) -> dict[str, Any]:
    """One scene, for programs."""
    return {
        "title": shown.title,
        "api": shown.api,
        "agent_sent": [asked(request) for request in played.asked],
        "provider_saw": [asked(request.json) for request in played.received],
        "provider_sent": [replied(reply) for reply in played.replies],
        "agent_got": [got(result) for result in played.got],
        "rules": list(played.rules),
        "spent": played.spent._asdict(),
        "checks": [{"claim": check.claim, "holds": check.holds(played)} for check in shown.checks],
    }
