"""Requests: a conversation, what is embedded, counted or cached, and the wrappers around them. Answers are `answer`'s.

One reader for all of Google's model methods, as each carries contents under one name or another: `generateContent`
(`contents`), `countTokens` (`generateContentRequest`), `batchEmbedContents` (`requests[].content`), `cachedContents`,
Vertex' `predict` (`instances[]`), Code Assist (`request`, as the Gemini CLI's login sends it).
"""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Request, ToolCall, ToolResult
from proxy.codecs.gemini.calls import Ids, Unanswered
from proxy.codecs.gemini.names import camel, member
from proxy.codecs.gemini.parts import held, read_function_response, read_part
from proxy.codecs.walk import Parts, array, number, table, word

_ROLES: Final = {None: "user", "user": "user", "model": "assistant", "function": "tool", "tool": "tool"}
_INNER: Final = frozenset({"request", "generateContentRequest", "embedContentRequest"})


class Conversation:
    """What is known of a request so far."""

    def __init__(self) -> None:
        self.parts = Parts()
        self.results: list[ToolResult] = []
        self.tools: list[str] = []
        self.calls: dict[str, tuple[str, Mapping[str, Json]]] = {}
        self.turn = 0
        self.max_output: int | None = None
        self.session: str | None = None
        self.model: str | None = None
        self._unanswered = Unanswered()
        self._ids = Ids()

    def request(self, members: Mapping[str, Json], path: Path) -> None:
        """A request object, or one inside another."""
        self.model = self.model or word(members.get("model"))
        self.session = self.session or word(member(members, "sessionId"))
        limits = table(member(members, "generationConfig"))
        self.max_output = number(member(limits, "maxOutputTokens")) or self.max_output
        self.parts.new = _boundary(members.get("contents")) < 0
        later: list[tuple[str, Json]] = []
        for name, value in members.items():
            known = camel(name)
            if known in ("contents", "content"):
                later.append((name, value))  # the conversation comes after what frames it
            elif known == "systemInstruction":
                self.content(value, (*path, name), "system")
            elif known == "tools":
                self._offered(value, (*path, name))
            elif known in _INNER and isinstance(value, dict):
                self.request(value, (*path, name))
            elif known == "requests" and isinstance(value, list):
                self._several(value, (*path, name))
            else:
                self.parts.members({name: value}, path, "other", "text", frozenset())
        for name, value in later:
            self.contents(value, (*path, name))

    def _several(self, requests: Json, path: Path) -> None:
        for index, inner in enumerate(requests):
            if isinstance(inner, dict):
                self.request(inner, (*path, index))
            else:
                self.parts.walk(inner, (*path, index), "other", "text")

    def _offered(self, tools: Json, path: Path) -> None:
        self.parts.walk(tools, path, "system", "tool_definition")
        for tool in [tools] if isinstance(tools, dict) else array(tools):
            declared = member(table(tool), "functionDeclarations")
            for one in [declared] if isinstance(declared, dict) else array(declared):
                if isinstance(table(one).get("name"), str):
                    self.tools.append(one["name"])

    # the conversation

    def contents(self, value: Json, path: Path) -> None:
        """`contents`: an array, or one content without it."""
        if not isinstance(value, list):
            self.content(value, path)
            return
        boundary = _boundary(value)
        for index, content in enumerate(value):
            self.parts.new = index > boundary
            if _is_model(content) and not (index and _is_model(value[index - 1])):
                self._ids = Ids()  # a streamed answer may come back as a content for each chunk
                self.turn += index <= boundary
            self.content(content, (*path, index))
        self.parts.new = True

    def content(self, content: Json, path: Path, role: str | None = None) -> None:
        """One content: role and parts; or a part or a text in its place."""
        members = table(content)
        spoken = members.get("role")
        role = role or _ROLES.get(spoken if isinstance(spoken, str | None) else "", "other")
        if "parts" not in members:
            self.part(content, path, role)
            return
        holds = members["parts"]
        for here, part in held(members, path):
            self.part(part, here, role)
        skip = frozenset({"parts"}) if isinstance(holds, dict | list) else frozenset()
        self.parts.members(members, path, role, "text", skip)

    def part(self, part: Json, path: Path, role: str) -> None:
        """One part of a content."""
        read = read_part(self.parts, part, path, role)
        for call in read.calls:
            if not call.by_provider:
                self._called(call)
        for result in read.results:
            self._answered(result)

    def function_response(self, value: Mapping[str, Json], path: Path) -> None:
        """A result that stands by itself (Live)."""
        for result in read_function_response(self.parts, value, path).results:
            self._answered(result)

    def _called(self, call: ToolCall) -> None:
        call_id = call.call_id or self._ids.of(call.name, call.arguments)
        self.calls[call_id] = (call.name, call.arguments)
        self._unanswered.called(call.name, call_id)

    def _answered(self, result: ToolResult) -> None:
        call_id = self._unanswered.answered(result.name, result.call_id)
        name = result.name or (self.calls[call_id][0] if call_id in self.calls else "")
        self.results.append(result._replace(call_id=call_id, name=name))

    def read(self, document: Json) -> Request:
        """The whole request, after everything of it was told."""
        if not isinstance(document, dict):
            self.parts.walk_any(document, (), "other", "text")
        return Request(
            model=self.model,
            stream=False,
            parts=self.parts.out,
            results=self.results,
            tools=self.tools,
            calls=self.calls,
            max_output=self.max_output,
            session=self.session,
            turn=self.turn,
        )


def _boundary(contents: Json) -> int:
    """The last content of the model's. At the very end it is a prefill: the client's words, and new."""
    before = array(contents)[:-1]
    return next((index for index in range(len(before) - 1, -1, -1) if _is_model(before[index])), -1)


def _is_model(content: Json) -> bool:
    return bool(table(content).get("role") == "model")


def read_request(document: Json) -> Request:
    """The body of any of the model's methods. Model and streaming stand in the URL, where the body does not say."""
    conversation = Conversation()
    conversation.request(table(document), ())
    return conversation.read(document)
