"""Bodies of the two formats as a provider would send them, and what a client assembles from them. For tests only."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A tool call whose arguments come in these pieces."""

    name: str
    pieces: Sequence[str]


class Answer(NamedTuple):
    """What a client made of a response."""

    text: str
    calls: list[tuple[str, str]]
    stop: str | None


def openai_stream(pieces: Iterable[str], calls: Sequence[Call] = (), ascii_only: bool = False) -> bytes:
    """A chat completion stream: text, then parallel tool calls, finish reason, usage, [DONE]."""
    chunks: list[dict[str, Any]] = [_chunk({"role": "assistant", "content": ""})]
    chunks += [_chunk({"content": piece}) for piece in pieces]
    for index, call in enumerate(calls):
        function = {"name": call.name, "arguments": ""}
        head = {"index": index, "id": f"call_{index}", "type": "function", "function": function}
        chunks.append(_chunk({"tool_calls": [head]}))
        chunks += [_chunk({"tool_calls": [{"index": index, "function": {"arguments": p}}]}) for p in call.pieces]
    chunks.append(_chunk({}, "tool_calls" if calls else "stop"))
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    chunks.append({"id": "c1", "object": "chat.completion.chunk", "model": "gpt-5", "choices": [], "usage": usage})
    body = "".join(f"data: {json.dumps(chunk, ensure_ascii=ascii_only)}\n\n" for chunk in chunks)
    return (body + "data: [DONE]\n\n").encode("utf-8", "surrogatepass")


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-5", "choices": [choice]}


def anthropic_stream(pieces: Iterable[str], calls: Sequence[Call] = (), ascii_only: bool = False) -> bytes:
    """A Messages stream: one text block, one tool_use block per call."""
    usage = {"input_tokens": 11, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": {**message, "usage": usage}}]
    events += _block(0, {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces])
    for index, call in enumerate(calls, 1):
        block = {"type": "tool_use", "id": f"toolu_{index}", "name": call.name, "input": {}}
        events += _block(index, block, [{"type": "input_json_delta", "partial_json": p} for p in call.pieces])
    delta = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 7}})
    events.append({"type": "message_stop"})
    lines = (f"event: {e['type']}\ndata: {json.dumps(e, ensure_ascii=ascii_only)}\n\n" for e in events)
    return "".join(lines).encode("utf-8", "surrogatepass")


def _block(index: int, block: dict[str, Any], deltas: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    start = {"type": "content_block_start", "index": index, "content_block": block}
    middle = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [start, *middle, {"type": "content_block_stop", "index": index}]


def _events(body: bytes) -> list[Any]:
    lines = body.decode("utf-8", "surrogatepass").split("\n")
    data = [line[6:] for line in lines if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]


def openai_answer(body: bytes) -> Answer:
    """What an OpenAI client assembles from a stream."""
    text, calls, stop = "", dict[int, list[str]](), None
    for event in _events(body):
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
            stop = choice["finish_reason"] or stop
            for call in choice["delta"].get("tool_calls") or ():
                slot = calls.setdefault(call["index"], ["", ""])
                slot[0] += call["function"].get("name") or ""
                slot[1] += call["function"].get("arguments") or ""
    assert sorted(calls) == list(range(len(calls))), "indexes have gaps"
    return Answer(text, [(name, arguments) for name, arguments in calls.values()], stop)


def anthropic_answer(body: bytes) -> Answer:
    """What an Anthropic client assembles from a stream."""
    blocks, stop = dict[int, list[str]](), None
    for event in _events(body):
        match event["type"]:
            case "content_block_start":
                block = event["content_block"]
                blocks[event["index"]] = [block["type"], block.get("name", ""), block.get("text", "")]
            case "content_block_delta":
                delta = event["delta"]
                blocks[event["index"]][2] += delta.get("text", "") + delta.get("partial_json", "")
            case "message_delta":
                stop = event["delta"]["stop_reason"]
    text = "".join(block[2] for block in blocks.values() if block[0] == "text")
    return Answer(text, [(block[1], block[2]) for block in blocks.values() if block[0] == "tool_use"], stop)
