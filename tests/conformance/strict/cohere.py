"""Cohere's second chat, as strictly as it is checked."""

import json
from typing import Any

import orjson

from tests.codecs import streams
from tests.conformance.strict.base import MODEL, TOOLS, Call, Json, Made, Turn, documents, pieces, require, schema


class Provider:
    """`POST /v2/chat`."""

    def __init__(self) -> None:
        self.made = Made()

    def ask(self, request: Json) -> None:
        """Calls paired with results (Command A; Command R is lenient)."""
        waiting: list[str] = []
        for index, message in enumerate(request["messages"]):
            if message["role"] == "tool":
                known = message["tool_call_id"] in waiting
                require(known, f"invalid request: message {index}: tool_call_id has no tool call before it")
                waiting.remove(message["tool_call_id"])
                continue
            self._unanswered(waiting)
            calls = [call["id"] for call in message.get("tool_calls") or ()]
            require(set(calls) <= self.made.ids, "ids that this model did not make")
            require(bool(calls or message.get("content")), f"invalid request: message {index} must have content")
            require("tool_calls" not in message or bool(calls), "invalid request: tool_calls must not be empty")
            waiting = calls
        self._unanswered(waiting)

    def _unanswered(self, waiting: list[str]) -> None:
        # oracle/langchain-oracle 10
        require(
            not waiting,
            "invalid request: An assistant message with 'tool_calls' must be followed by tool messages responding to"
            f" each 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
        )

    # answers

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """An answer, or its events. What a model thinks before it calls is its plan."""
        calls = [(self.made.id("get_{:010}"), name, json.dumps(arguments)) for name, arguments in turn.calls]
        finish = "TOOL_CALL" if calls else "COMPLETE"
        usage = {"tokens": {"input_tokens": 11, "output_tokens": 7}}
        if not streamed:
            message: Json = {"role": "assistant"}
            if turn.says:
                message["content"] = [{"type": "text", "text": turn.says}]
            if calls:
                message |= {"tool_plan": turn.thinks, "tool_calls": [_call(*call) for call in calls]}
            return orjson.dumps({"id": "1", "finish_reason": finish, "message": message, "usage": usage})
        events: list[Json] = [{"type": "message-start", "id": "1", "delta": {"message": {"role": "assistant"}}}]
        if calls:
            events += [_event("tool-plan-delta", 0, {"tool_plan": piece}) for piece in pieces(turn.thinks)]
        if turn.says:
            events.append(_event("content-start", 0, {"content": {"type": "text", "text": ""}}))
            events += [_event("content-delta", 0, {"content": {"text": piece}}) for piece in pieces(turn.says)]
            events.append({"type": "content-end", "index": 0})
        for index, (call_id, name, arguments) in enumerate(calls):
            events.append(_event("tool-call-start", index, {"tool_calls": _call(call_id, name, "")}))
            for piece in pieces(arguments):
                events.append(_event("tool-call-delta", index, {"tool_calls": {"function": {"arguments": piece}}}))
            events.append({"type": "tool-call-end", "index": index})
        events.append({"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}})
        return streams.stream(*events, named=True)


def _event(kind: str, index: int, message: Json) -> Json:
    return {"type": kind, "index": index, "delta": {"message": message}}


def _call(call_id: str, name: str, arguments: str) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


class Client:
    """Appends the message of each answer."""

    def __init__(self) -> None:
        self.messages: list[Any] = [{"role": "system", "content": "Be brief."}]

    def say(self, text: str) -> None:
        """A user's message."""
        self.messages.append({"role": "user", "content": text})

    def request(self, *, streamed: bool) -> Json:
        """The whole conversation."""
        tools = [{"type": "function", "function": {"name": name, "parameters": schema(name)}} for name in TOOLS]
        return {"model": MODEL, "messages": self.messages, "tools": tools, "stream": streamed}

    def hear(self, answer: bytes, *, streamed: bool) -> list[Call]:
        """The message, put together by index where it comes in events."""
        message = _assembled(answer) if streamed else orjson.loads(answer)["message"]
        self.messages.append(message)
        calls = message.get("tool_calls") or ()
        return [Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]

    def give(self, call: Call, text: str) -> None:
        """A tool's message."""
        content = [{"type": "document", "document": {"data": json.dumps({"result": text})}}]
        self.messages.append({"role": "tool", "tool_call_id": call.id, "content": content})


def _assembled(stream: bytes) -> Json:
    plan, blocks, calls = "", dict[int, Json](), dict[int, Json]()
    for event in documents(stream):
        message, index = event.get("delta", {}).get("message", {}), event.get("index", 0)
        match event["type"]:
            case "tool-plan-delta":
                plan += message["tool_plan"]
            case "content-start":
                blocks[index] = message["content"]
            case "content-delta":
                blocks[index]["text"] += message["content"]["text"]
            case "tool-call-start":
                calls[index] = message["tool_calls"]
            case "tool-call-delta":
                calls[index]["function"]["arguments"] += message["tool_calls"]["function"]["arguments"]
    assert sorted(blocks) == list(range(len(blocks))) and sorted(calls) == list(range(len(calls)))
    said: Json = {"role": "assistant"}
    said |= {"content": [blocks[index] for index in sorted(blocks)]} if blocks else {}
    said |= {"tool_plan": plan} if plan else {}
    return said | ({"tool_calls": [calls[index] for index in sorted(calls)]} if calls else {})
