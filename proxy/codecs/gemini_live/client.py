"""What a client sends: setup, turns, realtime input, results of tools. What the server sends is `server`'s."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Json, Path, Request
from proxy.codecs.gemini.document import Conversation
from proxy.codecs.gemini.names import camel, member, spelling
from proxy.codecs.gemini.parts import read_blob
from proxy.codecs.gemini.writer import at, text_part
from proxy.codecs.splicing import Append, Change, TextChange
from proxy.codecs.walk import array, table, word
from proxy.decision import TextEdit

_BLOBS: Final = frozenset({"audio", "video"})


class _Message(Conversation):
    """What is known of one message so far."""

    def __init__(self) -> None:
        super().__init__()
        self.follows: str | None = None

    def document(self, document: Json) -> None:
        """A message: one of four kinds, but whatever it has is read."""
        for name, value in table(document).items():
            read = _KINDS.get(camel(name))
            if read is not None and isinstance(value, dict):
                read(self, value, (name,))
            else:
                self.parts.members({name: value}, (), "other", "text", frozenset())

    def setup(self, members: Mapping[str, Json], path: Path) -> None:
        """`setup`: model, instruction, tools; and the session that is gone on with."""
        name = spelling(members, "sessionResumption")
        resumed = table(members.get(name))
        if isinstance(resumed.get("handle"), str):
            self.follows = resumed["handle"]
            self.parts.add((*path, name, "handle"), resumed["handle"], "other", "text", sealed=True)
            self.parts.members(resumed, (*path, name), "other", "text", frozenset({"handle"}))
            members = {other: value for other, value in members.items() if other != name}
        self.request(members, path)

    def turns(self, members: Mapping[str, Json], path: Path) -> None:
        """`clientContent`: turns of the conversation, whole ones."""
        for name, value in members.items():
            if name == "turns":
                self.contents(value, (*path, name))
            else:
                self.parts.members({name: value}, path, "other", "text", frozenset())

    def realtime(self, members: Mapping[str, Json], path: Path) -> None:
        """`realtimeInput`: text, and pieces of audio and video that are never edited."""
        for name, value in members.items():
            here = (*path, name)
            if camel(name) == "mediaChunks" and isinstance(value, list):
                for index, chunk in enumerate(value):
                    self._blob(chunk, (*here, index))
            elif name in _BLOBS:
                self._blob(value, here)
            else:
                self.parts.members({name: value}, path, "user", "text", frozenset())

    def _blob(self, blob: Json, path: Path) -> None:
        if isinstance(blob, dict):
            read_blob(self.parts, blob, path, "user")
        else:
            self.parts.walk(blob, path, "user", "media")

    def responses(self, members: Mapping[str, Json], path: Path) -> None:
        """`toolResponse`: what the client's tools gave back."""
        for name, value in members.items():
            here = (*path, name)
            given = value if isinstance(value, list) else [value]
            if camel(name) == "functionResponses" and isinstance(value, list | dict):
                for index, response in enumerate(given):
                    place = (*here, index) if isinstance(value, list) else here
                    if isinstance(response, dict):
                        self.function_response(response, place)
                    else:
                        self.parts.walk(response, place, "tool", "tool_result")
            else:
                self.parts.members({name: value}, path, "tool", "tool_result", frozenset())


_KINDS: Final = {
    "setup": _Message.setup,
    "clientContent": _Message.turns,
    "realtimeInput": _Message.realtime,
    "toolResponse": _Message.responses,
}


def read_request(document: Json) -> Request:
    """Any message of a client's."""
    message = _Message()
    message.document(document)
    read = message.read(document)
    return Request(
        model=read.model,
        stream=True,
        parts=read.parts,
        results=read.results,
        tools=read.tools,
        calls=read.calls,
        max_output=read.max_output,
        turn=read.turn,
        follows=message.follows,
    )


def begins(document: Json) -> bool:
    """Whether the model answers this message.

    A turn that is complete, a text typed in, the end of speech that the client marks itself. Where the server listens
    for the end of speech, no one message asks for the answer; a tool's result goes on with the one under way.
    """
    members = table(document)
    if member(table(member(members, "clientContent")), "turnComplete") is True:
        return True
    realtime = table(member(members, "realtimeInput"))
    return bool(realtime.get("text")) or member(realtime, "activityEnd") is not None


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the last turn of the user's, or of the text typed in.

    Nothing in messages that ask for no answer: the one that does gets it. ValueError where that has no place for it.
    """
    if not begins(document):
        return []
    realtime = spelling(table(document), "realtimeInput")
    typed = table(table(document).get(realtime)).get("text")
    if isinstance(typed, str):
        return [TextChange((realtime, "text"), [TextEdit(len(typed), len(typed), "\n\n" + text)])]
    name = spelling(table(document), "clientContent")
    turns = array(table(table(document).get(name)).get("turns"))
    for index in range(len(turns) - 1, -1, -1):
        path: Path = (name, "turns", index)
        content = table(at(document, path))
        if (word(content.get("role")) or "user") == "user" and isinstance(content.get("parts"), list):
            return [Append((*path, "parts"), text_part(text))]
    raise ValueError("a message without a user's turn has no place for a text")
