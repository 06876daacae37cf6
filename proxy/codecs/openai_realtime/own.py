"""What midstream says itself over Realtime: texts put into a conversation, refusals, whole answers."""

import orjson

from proxy.codecs import Json
from proxy.codecs.framings import Event
from proxy.codecs.openai_chat.own import refusal
from proxy.codecs.splicing import Append, Change
from proxy.codecs.walk import table


def inject(document: Json, text: str) -> list[Change]:
    """Text at the end of the user message that this message is, or after the input that it gives whole.

    ValueError for any other: the conversation is kept by the server.
    """
    root = table(document)
    item, given = table(root.get("item")), table(root.get("response")).get("input")
    said = {"type": "input_text", "text": text}
    if item.get("role") == "user" and isinstance(item.get("content"), list):
        return [Append(("item", "content"), orjson.dumps(said))]
    if isinstance(given, list):
        message = {"type": "message", "role": "user", "content": [said]}
        return [Append(("response", "input"), orjson.dumps(message))]
    raise ValueError("its conversation is kept by the server, so that a text has no place in it")


def socket_refusal(status: int, message: str) -> list[bytes]:
    """An `error` event. The session stays open (OpenAI OpenAPI 2.3.0, `RealtimeServerEventError`)."""
    error = orjson.loads(refusal(status, message))["error"] | {"event_id": None}
    return [orjson.dumps({"type": "error", "event_id": "event_midstream", "error": error})]


def message_stream(model: str | None, text: str) -> list[Event]:
    """An answer that says `text`, from its beginning to its end."""
    ids = {"response_id": "resp_midstream", "item_id": "item_midstream", "output_index": 0, "content_index": 0}
    empty, part = {"type": "text", "text": ""}, {"type": "text", "text": text}
    item = {"id": "item_midstream", "object": "realtime.item", "type": "message", "role": "assistant"}
    begun = item | {"status": "in_progress", "content": []}
    done = item | {"status": "completed", "content": [part | {"type": "output_text"}]}
    answer = {"object": "realtime.response", "id": "resp_midstream", "output_modalities": ["text"]}
    of_response = {name: ids[name] for name in ("response_id", "output_index")}
    steps: tuple[tuple[str, dict[str, Json]], ...] = (
        ("response.created", {"response": answer | {"status": "in_progress", "output": []}}),
        ("response.output_item.added", of_response | {"item": begun}),
        ("conversation.item.added", {"previous_item_id": None, "item": begun}),
        ("response.content_part.added", ids | {"part": empty}),
        ("response.output_text.delta", ids | {"delta": text}),
        ("response.output_text.done", ids | {"text": text}),
        ("response.content_part.done", ids | {"part": part}),
        ("conversation.item.done", {"previous_item_id": None, "item": done}),
        ("response.output_item.done", of_response | {"item": done}),
        ("response.done", {"response": answer | {"status": "completed", "output": [done]}}),
    )
    return [
        Event(None, orjson.dumps({"type": name, "event_id": f"event_midstream_{number}", **more}))
        for number, (name, more) in enumerate(steps)
    ]
