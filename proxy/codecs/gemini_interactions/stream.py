"""Events of a stream. What a step says is read in `steps`; nothing is changed here."""

from collections.abc import Mapping
from typing import Final

from proxy.codecs import Channel, Fragment, Json, OpenCall, Path, Reading
from proxy.codecs.channels import Channels, Said
from proxy.codecs.gemini_interactions.document import read_usage
from proxy.codecs.gemini_interactions.steps import as_arguments, is_call, read_content, read_step
from proxy.codecs.splicing import Remove
from proxy.codecs.walk import SEALED, STRUCTURE, Parts, array, number, table, word

_READS: Final[Mapping[str, str]] = {"step.start": "step", "step.delta": "delta"}
"""The member that an event of each type is about."""
_COMPLETE: Final = frozenset({"image", "audio", "video", "document", "thought_signature"})
"""Deltas that no later one adds to."""
_UNDER_WAY: Final = ("in_progress", "queued")


class Reader:
    """State of one stream: its open steps, and its calls."""

    def __init__(self) -> None:
        self._channels = Channels()
        self._calls: dict[int, OpenCall] = {}
        """By step; those that Google carries out are told too."""
        self._spoke = False
        self._answers: dict[int, str] = {}
        """The call that a step gives the result of, by step."""

    def read(self, event: Json) -> Reading:
        """What one event says."""
        said = Said()
        root = table(event)
        kind = word(root.get("event_type")) or ""
        about = _READS.get(kind, "interaction")
        subject, index = root.get(about), number(root.get("index"))
        read = isinstance(subject, dict)
        if not isinstance(subject, dict):
            pass  # its strings are among the rest
        elif about == "step":
            self._start(said, subject, index)
        elif about == "delta":
            self._delta(said, subject, index)
        else:
            self._interaction(said, subject)
        if kind == "step.stop":
            self._stop(said, index)
        said.usage = said.usage or read_usage(root.get("usage"))
        self._status(said, root)
        said.end = kind == "interaction.completed"
        self._channels.rest(said, root, (), frozenset({about} if read else ()))
        if not root:
            self._channels.walked(said, event, ())
        return said.reading()

    def finish(self) -> Reading:
        """The end of the stream closes what is open."""
        return Reading(closes=self._channels.close_all(), end=True)

    # steps

    def _start(self, said: Said, step: Mapping[str, Json], index: int) -> None:
        kind = word(step.get("type")) or ""
        said.closes += self._channels.close_block(index)
        if is_call(kind):
            self._open(said, step, kind, index)
        elif kind == "model_output":
            for position, item in enumerate(array(step.get("content"))):
                self._content(said, item, ("step", "content", position), index)
            skip = frozenset({"content"}) if isinstance(step.get("content"), list) else frozenset()
            self._channels.rest(said, step, ("step",), skip)
        else:
            self._answers[index] = word(step.get("call_id")) or ""
            self._whole(said, step, ("step",), index)

    def _content(self, said: Said, item: Json, path: Path, index: int) -> None:
        """A content that a step begins with, or a text delta: its text may grow."""
        members = table(item)
        text = members.get("text")
        if members.get("type") != "text" or not isinstance(text, str):
            parts = Parts()
            read_content(parts, item, path, "assistant")
            self._channels.once(parts.out, said)
            return
        channel = self._channels.growing(("text", index))
        if text:
            self._spoke = True
            said.fragment(channel, (*path, "text"), text)
        if "annotations" in members:
            said.when_edited.append((channel, Remove((*path, "annotations"))))
        self._channels.rest(said, members, path, frozenset({"text"}))

    def _open(self, said: Said, step: Mapping[str, Json], kind: str, index: int) -> None:
        channel = self._channels.growing(("tool_call", index))
        by_provider = kind != "function_call"
        opened = OpenCall(
            channel,
            word(step.get("id")) or "",
            word(step.get("name")) or (kind.removesuffix("_call") if by_provider else ""),
            None,
            self._spoke,
            by_provider,
            word(step.get("server_name")),
        )
        self._calls[index] = opened
        said.opens.append(opened)
        said.entries.append((("step",), channel))
        if given := step.get("arguments"):
            self._given(said, given, ("step", "arguments"), index)
        skip = {"arguments"} | {name for name in ("id", "name") if isinstance(step.get(name), str)}
        self._channels.rest(said, step, ("step",), frozenset(skip))

    def _given(self, said: Said, given: Json, path: Path, index: int) -> None:
        """Arguments that came whole. A later event may say them again: the last counts."""
        opened = self._calls[index]._replace(arguments=as_arguments(given))
        self._calls[index] = opened
        said.opens.append(opened)
        said.entries.append((path[:1], opened.channel))
        self._channels.given(said, given, path)

    def _delta(self, said: Said, delta: Mapping[str, Json], index: int) -> None:
        kind = word(delta.get("type")) or ""
        path: Path = ("delta",)
        if kind == "text":
            self._content(said, delta, path, index)
        elif kind == "arguments_delta" and isinstance(delta.get("arguments"), str):
            self._argument(said, delta, index)
        elif is_call(kind) and index in self._calls and "arguments" in delta:
            self._given(said, delta["arguments"], (*path, "arguments"), index)
            self._channels.rest(said, delta, path, frozenset({"arguments"}))
        elif kind == "thought_summary" and isinstance(table(delta.get("content")).get("text"), str):
            self._thought(said, delta, index)
        elif kind == "text_annotation_delta":
            said.when_edited.append((self._channels.growing(("text", index)), Remove(())))
            self._channels.walked(said, delta, path)
        elif kind in _COMPLETE or kind.endswith(("_call", "_result")):
            self._whole(said, delta, path, index)
        else:
            self._unknown(said, delta, kind, index)

    def _argument(self, said: Said, delta: Mapping[str, Json], index: int) -> None:
        """A piece of the arguments' JSON text."""
        channel = self._channels.growing(("tool_call", index))
        said.entries.append((("delta",), channel))
        if delta["arguments"]:
            said.fragment(channel, ("delta", "arguments"), delta["arguments"])
        self._channels.rest(said, delta, ("delta",), frozenset({"arguments"}))

    def _thought(self, said: Said, delta: Mapping[str, Json], index: int) -> None:
        channel = self._channels.growing(("reasoning", index))
        said.sealed.append(channel)  # its signature comes at the end of the step
        said.fragment(channel, ("delta", "content", "text"), delta["content"]["text"])
        self._channels.rest(said, delta["content"], ("delta", "content"), frozenset({"text"}))
        self._channels.rest(said, delta, ("delta",), frozenset({"content"}))

    def _unknown(self, said: Said, delta: Mapping[str, Json], kind: str, index: int) -> None:
        """Of an unknown delta every string may grow; but sealed ones are whole."""
        grown = {n for n, v in delta.items() if isinstance(v, str) and n not in STRUCTURE | SEALED}
        for name in sorted(grown):
            said.fragment(self._channels.growing(("text", index, kind, name)), ("delta", name), delta[name])
        self._channels.rest(said, delta, ("delta",), frozenset(grown))

    def _stop(self, said: Said, index: int) -> None:
        closed = self._channels.close_block(index)
        said.closes += closed
        said.entries += [((), channel) for channel in closed if channel[0] == "tool_call"]

    def _whole(self, said: Said, step: Mapping[str, Json], path: Path, index: int) -> None:
        parts = Parts()
        result = None
        if step.get("type") in ("image", "audio", "video", "document"):
            read_content(parts, step, path, "assistant")
        else:
            result = read_step(parts, step, path).outcome
        begin = len(said.fragments)
        self._channels.once(parts.out, said)
        if result is not None and "result" in step:
            call_id = result.call_id or self._answers.get(index, "")
            mine = tuple(begin + part for part in result.parts)
            said.results.append(result._replace(call_id=call_id, parts=mine))

    # the interaction as a whole

    def _interaction(self, said: Said, interaction: Mapping[str, Json]) -> None:
        said.model = word(interaction.get("model"))
        said.keeps = word(interaction.get("id"))
        said.usage = read_usage(interaction.get("usage"))
        self._status(said, interaction)
        steps = interaction.get("steps")
        for index, step in enumerate(array(steps)):
            self._repeated(said, step, ("interaction", "steps", index), index)
        skip = frozenset({"steps"}) if isinstance(steps, list) else frozenset()
        self._channels.rest(said, interaction, ("interaction",), skip)

    def _status(self, said: Said, members: Mapping[str, Json]) -> None:
        status = members.get("status")
        if isinstance(status, str) and status not in _UNDER_WAY:
            said.stop = status
            said.calls[:] = [call.channel for call in self._calls.values() if not call.by_provider]

    def _repeated(self, said: Said, step: Json, path: Path, index: int) -> None:
        """A step that was told already. Its texts are edited as they were, a call that was edited goes."""
        call = self._calls.get(index)
        if call is not None and not call.by_provider:
            said.entries.append((path, call.channel))
            said.when_edited.append((call.channel, Remove(path)))
        parts = Parts()
        read_step(parts, step, path)
        channel: Channel = ("text", index)
        copies = [part for part in parts.out if part.path[-1] == "text" and part.kind == "text"]
        said.repeats += [Fragment(channel, part.path, part.text) for part in copies]
        self._channels.once([part for part in parts.out if part not in copies], said)


def stream_reader() -> Reader:
    """A reader for one response stream."""
    return Reader()
