"""Ollama's own chat. It pairs nothing, but is strict about types: its server is written in Go."""

from typing import Any

import orjson

from tests.conformance.strict.base import MODEL, TOOLS, Call, Json, Made, Turn, pieces, require, schema

_ROLES = ("system", "user", "assistant", "tool")


class Provider:
    """`POST /api/chat`."""

    def __init__(self) -> None:
        self.made = Made()

    def ask(self, request: Json) -> None:
        """Contents are strings, arguments objects (ollama/api/types.go)."""
        for message in request["messages"]:
            require(message["role"] in _ROLES, f"invalid role: {message['role']}")
            content = message.get("content", "")
            require(
                isinstance(content, str),
                "json: cannot unmarshal into Go struct field ChatRequest.messages.content of type string",
            )
            for call in message.get("tool_calls") or ():
                given = call["function"]["arguments"]
                require(
                    isinstance(given, dict), "json: cannot unmarshal into field of type api.ToolCallFunctionArguments"
                )
            if message["role"] == "tool":
                require(bool(message.get("tool_name")), "a tool's message names the tool")

    # answers

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """One object, or a line for each piece."""
        calls = [{"function": {"name": name, "arguments": dict(arguments)}} for name, arguments in turn.calls]
        if not streamed:
            message: Json = {"role": "assistant", "content": turn.says} | ({"tool_calls": calls} if calls else {})
            thinking = {"thinking": turn.thinks} if turn.thinks else {}
            return orjson.dumps(_line(message | thinking) | {"done": True, "done_reason": "stop"})
        lines = [_line({"role": "assistant", "content": "", "thinking": piece}) for piece in pieces(turn.thinks)]
        lines += [_line({"role": "assistant", "content": piece}) for piece in pieces(turn.says)]
        lines += [_line({"role": "assistant", "content": "", "tool_calls": [call]}) for call in calls]
        lines.append(_line({"role": "assistant", "content": ""}) | {"done": True, "done_reason": "stop"})
        return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def _line(message: Json) -> Json:
    return {"model": MODEL, "created_at": "2026-11-21T12:00:00Z", "message": message, "done": False}


class Client:
    """Appends the message of each answer."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def say(self, text: str) -> None:
        """A user's message."""
        self.messages.append({"role": "user", "content": text})

    def request(self, *, streamed: bool) -> Json:
        """The whole conversation."""
        tools = [{"type": "function", "function": {"name": name, "parameters": schema(name)}} for name in TOOLS]
        return {"model": MODEL, "messages": self.messages, "tools": tools, "stream": streamed}

    def hear(self, answer: bytes, *, streamed: bool) -> list[Call]:
        """The message, texts and calls of all lines."""
        lines = [orjson.loads(line)["message"] for line in answer.split(b"\n") if line]
        calls = [call for line in lines for call in line.get("tool_calls") or ()]
        message: Json = {"role": "assistant", "content": "".join(line.get("content") or "" for line in lines)}
        thinking = "".join(line.get("thinking") or "" for line in lines)
        message |= ({"thinking": thinking} if thinking else {}) | ({"tool_calls": calls} if calls else {})
        self.messages.append(message)
        return [Call("", call["function"]["name"], call["function"]["arguments"]) for call in calls]

    def give(self, call: Call, text: str) -> None:
        """A tool's message."""
        self.messages.append({"role": "tool", "tool_name": call.name, "content": text})
