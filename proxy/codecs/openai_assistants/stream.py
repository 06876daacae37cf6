"""What a stream tells of a run: messages and calls in pieces (`thread.message.delta`, `thread.run.step.delta`), and
every object again each time its status changes.

Documents say what they are in `object`; the names of events are not needed. What is told again is `tellings`'.
"""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Json, Path, Reading
from proxy.codecs.channels import Said
from proxy.codecs.openai_assistants.document import read_usage, stop_reason
from proxy.codecs.openai_assistants.objects import BY_PROVIDER, CALLS, Objects, at, offsets
from proxy.codecs.splicing import Replace
from proxy.codecs.tellings import Tellings
from proxy.codecs.walk import Parts, array, table, word

_TEXT: Final = ("text", "value")
_STEPS: Final = ("step_details", "tool_calls")


class Reader:
    """State of one stream."""

    def __init__(self) -> None:
        self._tellings = Tellings()
        self._by_id: dict[str, Channel] = {}
        """What tells a call, by its id: a run names its calls by that alone."""

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said, root = Said(), table(event)
        key, delta = word(root.get("id")) or "", root.get("delta")
        if isinstance(delta, dict):
            self._tellings.channels.rest(said, root, (), frozenset({"delta"}))
            if root.get("object") == "thread.run.step.delta":
                self._step(said, key, delta)
            else:
                self._message(said, key, delta)
        else:
            self._object(said, key, event)
        said.model, said.stop = word(root.get("model")), stop_reason(event)
        if root.get("object") == "thread.run":
            said.usage = read_usage(root.get("usage"))
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._tellings.channels.close_all(), end=True)

    # pieces

    def _message(self, said: Said, key: str, delta: Mapping[str, Json]) -> None:
        content = delta.get("content")
        skip = frozenset({"content"}) if isinstance(content, list) else frozenset()
        for position, block in enumerate(array(content)):
            self._block(said, key, block, ("delta", "content", position), _index(block, position))
        self._tellings.channels.rest(said, delta, ("delta",), skip)

    def _block(self, said: Said, key: str, block: Json, path: Path, index: int) -> None:
        """A piece of a content block: a text, a refusal."""
        members, text = table(block), table(table(block).get("text"))
        base: Channel = ("text", key, "content", index)
        skip: set[str] = set()
        if isinstance(value := text.get("value"), str):
            skip.add("text")
            channel = self._tellings.grow(said, (*base, *_TEXT), (*path, *_TEXT), value)
            self._tellings.channels.rest(said, text, (*path, "text"), frozenset({"value"}))
            if text.get("annotations"):
                said.when_edited.append((channel, Replace((*path, "text", "annotations"), b"[]")))
        if isinstance(refusal := members.get("refusal"), str):
            skip.add("refusal")
            self._tellings.grow(said, (*base, "refusal"), (*path, "refusal"), refusal)
        self._tellings.channels.rest(said, members, path, frozenset(skip))
        if not members:
            self._tellings.channels.walked(said, block, path)

    def _step(self, said: Said, key: str, delta: Mapping[str, Json]) -> None:
        details = table(delta.get("step_details"))
        calls = details.get("tool_calls")
        if not isinstance(calls, list):
            self._tellings.channels.walked(said, delta, ("delta",))
            return
        self._tellings.channels.rest(said, delta, ("delta",), frozenset({"step_details"}))
        self._tellings.channels.rest(said, details, ("delta", "step_details"), frozenset({"tool_calls"}))
        for position, call in enumerate(calls):
            self._call(said, key, call, ("delta", *_STEPS, position), _index(call, position))

    def _call(self, said: Said, key: str, call: Json, path: Path, index: int) -> None:
        """A piece of a call: its arguments or its code, or what came of it."""
        members = table(call)
        kind = word(members.get("type")) or ""
        inner = members.get(kind)
        if not isinstance(inner, dict):
            self._tellings.channels.walked(said, call, path)
            return
        base: Channel = ("tool_call", key, *_STEPS, index)
        self._begin(said, base, path, members, inner)
        self._tellings.channels.rest(said, members, path, frozenset({kind}))
        skip = {"name"} if isinstance(inner.get("name"), str) else set[str]()
        for name in ("arguments", "input"):
            if isinstance(text := inner.get(name), str):
                skip.add(name)
                self._tellings.grow(said, base, (*path, kind, name), text)
        for place, output in enumerate(array(inner.get("outputs"))):
            inside: Channel = (key, *_STEPS, index, kind, "outputs", _index(output, place))
            self._logs(said, inside, output, (*path, kind, "outputs", place))
        skip |= {"outputs"} if isinstance(inner.get("outputs"), list) else set()
        parts = Parts()
        parts.members(inner, (*path, kind), "tool", "tool_result", frozenset(skip))
        self._tellings.channels.once(parts.out, said)

    def _logs(self, said: Said, inside: Channel, output: Json, path: Path) -> None:
        members = table(output)
        if isinstance(logs := members.get("logs"), str):
            self._tellings.grow(said, ("tool_result", *inside, "logs"), (*path, "logs"), logs)
        skip = frozenset({"logs"}) if isinstance(members.get("logs"), str) else frozenset()
        self._tellings.channels.rest(said, members, path, skip)
        if not members:
            self._tellings.channels.walked(said, output, path)

    def _begin(
        self, said: Said, base: Channel, path: Path, members: Mapping[str, Json], inner: Mapping[str, Json]
    ) -> None:
        kind = word(members.get("type")) or ""
        told = {"call_id": members.get("id"), "name": inner.get("name") if kind == "function" else kind}
        self._tellings.call(said, base, path, told, by_provider=kind in BY_PROVIDER)
        if isinstance(call_id := members.get("id"), str):
            self._by_id[call_id] = base

    # objects

    def _object(self, said: Said, key: str, event: Json) -> None:
        """An object as it is now: every string of it told again, or for the first time."""
        objects = Objects()
        objects.read(event, ())
        told: set[Path] = set()
        found = {call.path for call in objects.calls}
        for call in objects.calls:
            if call.path[: len(CALLS)] == CALLS:
                named = self._by_id.get(call.call_id) or ("tool_call", key, *CALLS, len(said.calls))
                told |= self._told(said, named, call.path, event)
                said.calls += [channel for channel in (self._tellings.called(named),) if channel is not None]
        for index in range(len(array(table(table(event).get("step_details")).get("tool_calls")))):
            step = (*_STEPS, index)
            base: Channel = ("tool_call", key, *step)
            if self._tellings.called(base) is not None or step in found:
                told |= self._told(said, base, step, event)
        objects.parts.out = [part for part in objects.parts.out if part.path not in told]
        self._tellings.parts(said, objects.parts, key, 0)
        for path, change in offsets(table(event).get("content"), ("content",)):
            channel = self._tellings.saying(("text", key, *path))
            said.when_edited += [(channel, change)] if channel is not None else []

    def _told(self, said: Said, base: Channel, path: Path, event: Json) -> set[Path]:
        """A call as a whole, at `path`: which of its strings are told with it."""
        members = table(at(event, path))
        kind = word(members.get("type")) or ""
        inner = table(members.get(kind))
        self._begin(said, base, path, members, inner)
        told = {(*path, kind, "name")}
        for name in ("arguments", "input"):
            if isinstance(text := inner.get(name), str):
                told.add((*path, kind, name))
                if text:
                    self._tellings.arguments(said, base, (*path, kind, name), text)
        if table(event).get("status") != "in_progress":
            self._tellings.complete(said, base)
        return told


def _index(piece: Json, position: int) -> int:
    index = table(piece).get("index")
    return index if isinstance(index, int) else position


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
