"""OpenAI's chat completions, and Mistral's, as strictly as they are checked."""

import itertools
import json
from typing import Any

import orjson

from tests.codecs import streams
from tests.conformance.strict.base import MODEL, TOOLS, Call, Json, Made, Turn, documents, pieces, require, schema


class Provider:
    """`POST /v1/chat/completions`."""

    call_id = "call_{:08}"

    def __init__(self) -> None:
        self.made = Made()

    def ask(self, request: Json) -> None:
        """The messages' roles, and calls paired with results."""
        waiting: list[str] = []
        for index, message in enumerate(request["messages"]):
            role = message["role"]
            require(role in ("system", "developer", "user", "assistant", "tool"), f"Invalid value: '{role}'")
            if role == "tool":
                self.answered(waiting, message)
                continue
            self.unanswered(waiting)
            waiting = []
            if role == "assistant":
                waiting = self.spoken(message, index)
            else:
                require(bool(message.get("content")), f"Invalid value for 'content' of messages.[{index}]")
        self.unanswered(waiting)

    def answered(self, waiting: list[str], message: Json) -> None:
        # platform.openai.com: the wording as in itmisx/deepx-code 94
        require(
            message["tool_call_id"] in waiting,
            "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'",
        )
        waiting.remove(message["tool_call_id"])

    def unanswered(self, waiting: list[str]) -> None:
        # QwenLM/qwen-code 315 has OpenAI's words
        require(
            not waiting,
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            f" 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}",
        )

    def spoken(self, message: Json, index: int) -> list[str]:
        calls = message.get("tool_calls")
        require(calls is None or len(calls) > 0, f"[] is too short - 'messages.{index}.tool_calls'")
        require(
            bool(calls or message.get("content")), f"Invalid value for 'content': expected a string, got null ({index})"
        )
        ids = [call["id"] for call in calls or ()]
        require(set(ids) <= self.made.ids, "ids that this model did not make")
        for call in calls or ():
            json.loads(call["function"]["arguments"])
        return ids

    def extra(self, index: int) -> Json:
        """What a call says beside."""
        return {}

    # answers

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """A `chat.completion`, or its chunks."""
        calls = [(self.made.id(self.call_id), name, json.dumps(arguments)) for name, arguments in turn.calls]
        finish = "tool_calls" if calls else "stop"
        if not streamed:
            told = [_call(*call, **self.extra(index)) for index, call in enumerate(calls)]
            message: Json = {"role": "assistant", "content": turn.says or None} | ({"tool_calls": told} if told else {})
            choice = {"index": 0, "message": message, "finish_reason": finish}
            return orjson.dumps({"id": "c", "object": "chat.completion", "model": MODEL, "choices": [choice]})
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in pieces(turn.says)]
        for index, (call_id, name, arguments) in enumerate(calls):
            deltas.append({"tool_calls": [{"index": index} | _call(call_id, name, "", **self.extra(index))]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces(arguments)
            ]
        chunks = [_chunk(delta, None) for delta in deltas]
        return streams.stream(*chunks, _chunk({}, finish))


def _call(call_id: str, name: str, arguments: str, **extra: Any) -> Json:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}, **extra}


def _chunk(delta: Json, finish: str | None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": MODEL, "choices": [choice]}


class Client:
    """Appends each message as the SDK gives it."""

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
        """The message, put together by index where it comes in chunks."""
        message = _assembled(answer) if streamed else orjson.loads(answer)["choices"][0]["message"]
        self.messages.append(message)
        calls = message.get("tool_calls") or ()
        return [Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]

    def give(self, call: Call, text: str) -> None:
        """A tool's message."""
        self.messages.append({"role": "tool", "tool_call_id": call.id, "content": text})


def _assembled(stream: bytes) -> Json:
    text, calls = "", dict[int, Json]()
    for chunk in documents(stream):
        for delta in (choice["delta"] for choice in chunk["choices"]):
            text += delta.get("content") or ""
            for piece in delta.get("tool_calls") or ():
                call = calls.setdefault(piece["index"], _call("", "", ""))
                for name in ("id", "extra_content"):
                    call |= {name: piece[name]} if piece.get(name) else {}
                for name, value in piece["function"].items():
                    call["function"][name] += value or ""
    message: Json = {"role": "assistant", "content": text or None}
    if calls:
        assert sorted(calls) == list(range(len(calls)))
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message


class Google(Provider):
    """The same before a Gemini 3, which signs the first call of each step and wants the signature back."""

    def extra(self, index: int) -> Json:
        """A signature."""
        return {} if index else {"extra_content": {"google": {"thought_signature": self.made.sign("call")}}}

    def spoken(self, message: Json, index: int) -> list[str]:
        calls = message.get("tool_calls") or ()
        if calls:
            signature = calls[0].get("extra_content", {}).get("google", {}).get("thought_signature")
            # openhuman 3548
            require(bool(signature), "Function call is missing a thought_signature in functionCall parts.")
            known = signature in self.made.signed or signature == "skip_thought_signature_validator"
            require(known, "Thought signature is not valid")
        return super().spoken(message, index)


class Mistral(Provider):
    """The same at Mistral, which counts calls and results and is stricter about who speaks when.

    An assistant may speak and call in one message (recorded, mistral-small-latest, August 2026); it could not in 2024.
    """

    call_id = "Id{:07}"

    def ask(self, request: Json) -> None:
        """Also ids of nine characters, and no user after a tool."""
        messages = request["messages"]
        for before, message in itertools.pairwise(messages):
            after = (before["role"], message["role"])
            # venice and NVIDIA, which serve Mistral's models, refuse it in all cases; Mistral in some
            require(after != ("tool", "user"), "Unexpected role 'user' after role 'tool'")
        require(
            messages[-1]["role"] in ("user", "tool"),
            "Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant",
        )
        for message in messages:
            for call in message.get("tool_calls") or ():
                require(len(call["id"]) == 9, "Tool call id must be a-z, A-Z, 0-9, with a length of 9")
        super().ask(request)

    def answered(self, waiting: list[str], message: Json) -> None:
        # mistralai/client-ts 106
        require(message["tool_call_id"] in waiting, "Not the same number of function calls and responses")
        waiting.remove(message["tool_call_id"])

    def unanswered(self, waiting: list[str]) -> None:
        require(not waiting, "Not the same number of function calls and responses")
