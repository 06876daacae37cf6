"""Whole answers: generated contents, counts, embeddings, caches, errors. Streams are `stream`'s."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Response, ToolCall, ToolResult
from proxy.codecs.gemini.calls import Ids, Unanswered
from proxy.codecs.gemini.names import member, spelling
from proxy.codecs.gemini.parts import held, read_part
from proxy.codecs.splicing import Change, Remove
from proxy.codecs.walk import Parts, number, table, word
from proxy.events import Usage


class Answer:
    """What is known of an answer so far."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.calls: list[ToolCall] = []
        self.outcomes: list[ToolResult] = []
        self.copies: list[tuple[int, Change]] = []
        self.stop: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None

    def read(self, document: Json, path: Path) -> None:
        """An answer, or several in an array."""
        if isinstance(document, dict):
            self._members(document, path)
        elif isinstance(document, list) and not path:
            for index, inner in enumerate(document):
                self.read(inner, (index,))
        else:
            self.parts.walk_any(document, path, "other", "text")

    def _members(self, members: Mapping[str, Json], path: Path) -> None:
        self.model = word(member(members, "modelVersion")) or self.model
        self.usage = read_usage(member(members, "usageMetadata")) or self.usage
        for name, value in members.items():
            here = (*path, name)
            if name == "candidates" and isinstance(value, list):
                for index, candidate in enumerate(value):
                    self._candidate(candidate, (*here, index))
            elif name == "response" and isinstance(value, dict):  # Code Assist
                self._members(value, here)
            else:
                self.parts.members({name: value}, path, "other", "text", frozenset())
        self.stop = self.stop or blocked(members)

    def _candidate(self, candidate: Json, path: Path) -> None:
        members = table(candidate)
        if not members:
            self.parts.walk(candidate, path, "other", "text")
        content = members.get("content")
        begin = len(self.parts.out)
        if isinstance(content, dict):
            self._content(content, (*path, "content"))
        mine = [i for i in range(begin, len(self.parts.out)) if self.parts.out[i][2:5] == ("assistant", "text", False)]
        copies = copies_of(members, path) if mine else []
        self.copies += [(part, change) for part in mine for change in copies]
        skip = {"content"} if isinstance(content, dict) else set()
        skip |= {spelling(members, "logprobsResult")} if mine else set()
        self.parts.members(members, path, "other", "text", frozenset(skip))
        self.stop = self.stop or stopped(members)

    def _content(self, content: Mapping[str, Json], path: Path) -> None:
        ids, ran = Ids(), Unanswered()
        for here, part in held(content, path):
            read = read_part(self.parts, part, here, "assistant")
            for call in read.calls:
                known = call.call_id or ids.of(call.name, call.arguments)
                self.calls.append(call._replace(call_id=known))
                ran.called(call.name, known)
            self.outcomes += [each._replace(call_id=ran.answered(each.name, each.call_id)) for each in read.outcomes]
        skip = frozenset({"parts"}) if isinstance(content.get("parts"), dict | list) else frozenset()
        self.parts.members(content, path, "assistant", "text", skip)


_COPIES: Final[tuple[tuple[str, ...], ...]] = (
    ("logprobsResult",),
    ("groundingMetadata", "groundingSupports"),
    ("citationMetadata",),
)


def copies_of(candidate: Mapping[str, Json], path: Path) -> list[Change]:
    """What repeats the text of a candidate or counts its bytes: taken out once the text was edited."""
    changes: list[Change] = []
    for steps in _COPIES:
        members: Json = candidate
        here = path
        for step in steps:
            name = spelling(table(members), step)
            members, here = table(members).get(name), (*here, name)
        if members is not None:
            changes.append(Remove(here))
    return changes


_REASONS: Final = ("FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
"""By number, as they come where a client asks for them so (`$alt=json;enum-encoding=int`)."""


def stopped(candidate: Mapping[str, Json]) -> str | None:
    """Why a candidate ended, if it did."""
    reason = member(candidate, "finishReason")
    if type(reason) is int:
        return _REASONS[reason] if 0 <= reason < len(_REASONS) else str(reason)
    return word(reason)


def blocked(members: Mapping[str, Json]) -> str | None:
    """Why there is no candidate at all."""
    return word(member(table(member(members, "promptFeedback")), "blockReason"))


def read_usage(used: Json) -> Usage | None:
    """The token counts of a `usageMetadata`; None of one that has none (Vertex' `trafficType` alone)."""
    prompt, tools, said, spoken, thoughts, cached = (number(member(table(used), name)) for name in _COUNTS)
    if not (prompt or tools or said or spoken or thoughts or cached):
        return None
    return Usage(input=prompt + tools, output=(said or spoken) + thoughts, cache_read=cached)


_COUNTS: Final = (
    "promptTokenCount",
    "toolUsePromptTokenCount",
    "candidatesTokenCount",
    "responseTokenCount",  # Live
    "thoughtsTokenCount",
    "cachedContentTokenCount",
)


def read_response(document: Json) -> Response:
    """What any of the model's methods answers, or an error."""
    answer = Answer()
    answer.read(document, ())
    return Response(
        answer.model,
        answer.parts.out,
        answer.calls,
        answer.stop,
        answer.usage,
        answer.outcomes,
        when_edited=answer.copies,
    )
