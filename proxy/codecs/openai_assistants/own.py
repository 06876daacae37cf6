"""What midstream says itself in this format: texts put into threads, runs that only say something."""

import orjson

from proxy.codecs import Json, Path
from proxy.codecs.framings import Event
from proxy.codecs.framings.sse import DONE
from proxy.codecs.splicing import Append, Change, Replace, TextChange
from proxy.codecs.walk import table
from proxy.decision import TextEdit


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the user's message, or a message after those that the request brings.

    ValueError for a request that brings none: the conversation is kept by the server.
    """
    root = table(document)
    said = {"role": "user", "content": text}
    if root.get("role") == "user":
        return _say(root.get("content"), ("content",), text)
    if isinstance(root.get("messages"), list):
        return [Append(("messages",), orjson.dumps(said))]
    if isinstance(root.get("additional_messages"), list):
        return [Append(("additional_messages",), orjson.dumps(said))]
    if isinstance(table(root.get("thread")).get("messages"), list):
        return [Append(("thread", "messages"), orjson.dumps(said))]
    if "assistant_id" in root and "thread" not in root:
        return [Replace(("additional_messages",), orjson.dumps([said]))]
    raise ValueError("its conversation is kept by the server, so that a text has no place in it")


def _say(content: Json, path: Path, text: str) -> list[Change]:
    if isinstance(content, list):
        return [Append(path, orjson.dumps({"type": "text", "text": text}))]
    if isinstance(content, str):
        return [TextChange(path, [TextEdit(len(content), len(content), "\n\n" + text)])]
    raise ValueError("a message without content has no place for a text")


def _run(model: str | None, status: str) -> dict[str, Json]:
    head = {"id": "run_midstream", "object": "thread.run", "created_at": 0, "thread_id": "thread_midstream"}
    return head | {"assistant_id": "asst_midstream", "model": model or "midstream", "status": status}


def message(model: str | None, text: str) -> bytes:
    """A run that failed with `text`: REST has no answer that is a run and its message."""
    error = {"code": "server_error", "message": text}
    return orjson.dumps(_run(model, "failed") | {"required_action": None, "last_error": error, "tools": []})


def message_stream(model: str | None, text: str) -> list[Event]:
    """A run whose message says `text`, from its beginning to `done`."""
    head = {"id": "msg_midstream", "object": "thread.message", "created_at": 0, "thread_id": "thread_midstream"}
    told = head | {"role": "assistant", "run_id": "run_midstream", "assistant_id": "asst_midstream"}
    block = {"type": "text", "text": {"value": text, "annotations": []}}
    delta = {"id": "msg_midstream", "object": "thread.message.delta", "delta": {"content": [{"index": 0, **block}]}}
    steps: tuple[tuple[str, dict[str, Json]], ...] = (
        ("thread.run.created", _run(model, "in_progress")),
        ("thread.message.created", told | {"status": "in_progress", "content": []}),
        ("thread.message.delta", delta),
        ("thread.message.completed", told | {"status": "completed", "content": [block]}),
        ("thread.run.completed", _run(model, "completed")),
    )
    return [*(Event(name, orjson.dumps(document)) for name, document in steps), Event("done", DONE)]
