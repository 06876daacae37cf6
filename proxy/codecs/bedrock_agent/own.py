"""What midstream says itself in these formats, and how calls that an agent returns to the client are cut out."""

from collections.abc import Mapping

import orjson

from proxy.codecs import Channel, Json, Path, Reading, ToolResult
from proxy.codecs.bedrock_agent.stream import INPUTS
from proxy.codecs.framings import Event, Frame
from proxy.codecs.splicing import Change, Remove, Replace, TextChange, splice
from proxy.codecs.walk import array, table
from proxy.decision import TextEdit


class Writer:
    """Cuts calls out of one stream: a chunk says the notices; control is returned for the calls that are left."""

    def rewrite(
        self, event: Frame, document: Json, reading: Reading, cuts: Mapping[Channel, str]
    ) -> list[Event] | None:
        """See `StreamWriter`."""
        cut = [(path, channel) for path, channel in reading.entries if channel in cuts]
        if not cut:
            return None
        after = any(opened.after_text for opened in reading.opens)
        notice = "\n\n".join(cuts[channel] for _, channel in cut)
        said = [chunk(("\n\n" if after else "") + notice)]
        if len(cut) < len(array(document[INPUTS])):
            said.append(Event(event.name, splice(event.data, [Remove(path) for path, _ in cut])))
        return said


def stream_writer() -> Writer:
    """A writer for one response stream."""
    return Writer()


def chunk(text: str) -> Event:
    """A piece of an agent's answer."""
    return Event("chunk", orjson.dumps({"bytes": text}))


def deny_result(document: Json, result: ToolResult, text: str) -> list[Change]:
    """The body of a result, under each content type it has."""
    body = document
    for step in result.content:
        body = body[step]
    return [Replace(result.content, orjson.dumps({kind: {"body": text} for kind in body or ("TEXT",)}))]


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of what the user asks. ValueError where a request asks nothing in words."""
    root = table(document)
    places: tuple[tuple[Path, Json], ...] = (
        (("inputText",), root.get("inputText")),
        (("input", "text"), table(root.get("input")).get("text")),
    )
    for path, asked in places:
        if isinstance(asked, str) and asked:
            return [TextChange(path, [TextEdit(len(asked), len(asked), "\n\n" + text)])]
    raise ValueError("a request that asks nothing in words has no place for a text")


def message(model: str | None, text: str) -> bytes:
    """A knowledge base's answer that says `text`; agents answer in streams."""
    return orjson.dumps({"output": {"text": text}, "citations": [], "sessionId": "midstream"})


def agent_stream(model: str | None, text: str) -> list[Event]:
    """An agent's answer."""
    return [chunk(text)]


def retrieval_stream(model: str | None, text: str) -> list[Event]:
    """A knowledge base's answer, streamed."""
    return [Event("output", orjson.dumps({"text": text}))]


def flow_stream(model: str | None, text: str) -> list[Event]:
    """A flow's answer."""
    output = {"nodeName": "midstream", "nodeType": "FlowOutputNode", "content": {"document": text}}
    return [
        Event("flowOutputEvent", orjson.dumps(output)),
        Event("flowCompletionEvent", b'{"completionReason":"SUCCESS"}'),
    ]
