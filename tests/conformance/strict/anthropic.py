"""Anthropic's messages with extended thinking, as strictly as they are checked."""

import json
from collections.abc import Sequence
from typing import Any

import orjson

from tests.codecs import streams
from tests.conformance.strict.base import MODEL, TOOLS, Call, Json, Made, Turn, documents, pieces, require, schema

_THINKING = ("thinking", "redacted_thinking")


class Provider:
    """`POST /v1/messages`."""

    def __init__(self) -> None:
        self.made = Made()

    def ask(self, request: Json) -> None:
        """Pairs of calls and results, their places, and thinking as it was signed."""
        messages = request["messages"]
        require(messages[-1]["role"] == "user", "The conversation must end with a user message.")
        waiting: list[str] = []
        for index, message in enumerate(messages):
            content = message["content"]
            blocks: Sequence[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else content
            require(bool(blocks), f"messages.{index}: all messages must have non-empty content")
            for block in blocks:
                if block["type"] == "text":
                    require(
                        bool(block["text"].strip()), "messages: text content blocks must contain non-whitespace text"
                    )
            if message["role"] == "user":
                self._results(blocks, waiting, index)
                waiting = []
            else:
                require(not waiting, _unanswered(index, waiting))
                waiting = self._spoken(blocks, index, thinks="thinking" in request)

    def _results(self, blocks: Sequence[Json], waiting: list[str], index: int) -> None:
        results = [block for block in blocks if block["type"] == "tool_result"]
        # hermes-agent 65369: results come first
        require([*results] == [*blocks[: len(results)]], _unanswered(index - 1, waiting))
        given = [block["tool_use_id"] for block in results]
        for call_id in given:  # claude-code 18947
            require(
                call_id in waiting,
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {call_id}",
            )
        # claude-code 8210
        require(set(given) == set(waiting), _unanswered(index - 1, [each for each in waiting if each not in given]))
        require(len(given) == len(set(given)), "each tool_use must have a single result")

    def _spoken(self, blocks: Sequence[Json], index: int, *, thinks: bool) -> list[str]:
        kinds = [block["type"] for block in blocks]
        calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        require(set(calls) <= self.made.ids, f"messages.{index}: a tool_use id that this model did not make")
        require(
            kinds[-1] not in _THINKING,
            f"messages.{index}: The final block in an assistant message cannot be `thinking`.",
        )
        for block in blocks:
            if block["type"] == "thinking":  # claude-code 63574
                signed = self.made.signed.get(block["signature"])
                require(
                    signed == block["thinking"],
                    "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified."
                    if signed is not None
                    else f"messages.{index}: Invalid `signature` in `thinking` block",
                )
        if thinks and calls:  # vercel/ai 12432
            require(
                kinds[0] in _THINKING,
                f"messages.{index}: Expected `thinking` or `redacted_thinking`, but found `{kinds[0]}`",
            )
        if calls:  # claude-code 473; under thinking, mecatl 1465
            last = kinds.index("tool_use")
            require("text" not in kinds[last:], f"messages.{index}: text after `tool_use`: the results are not found")
        return calls

    # answers

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """A message, or its events."""
        blocks: list[Json] = []
        if turn.thinks:
            blocks.append({"type": "thinking", "thinking": turn.thinks, "signature": self.made.sign(turn.thinks)})
        if turn.says:
            blocks.append({"type": "text", "text": turn.says})
        for name, arguments in turn.calls:
            blocks.append(
                {"type": "tool_use", "id": self.made.id("toolu_{:020}"), "name": name, "input": dict(arguments)}
            )
        stop = "tool_use" if turn.calls else "end_turn"
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
        used = {"input_tokens": 11, "output_tokens": 7}
        if not streamed:
            return orjson.dumps(head | {"content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": used})
        events: list[Json] = [{"type": "message_start", "message": head | {"content": [], "usage": used}}]
        for index, block in enumerate(blocks):
            events += _block(index, block)
        events.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": used})
        return streams.stream(*events, {"type": "message_stop"}, named=True)


def _unanswered(index: int, ids: Sequence[str]) -> str:
    return (
        f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}."
        " Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def _block(index: int, block: Json) -> list[Json]:
    deltas: list[Json]
    if block["type"] == "text":
        begun = block | {"text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    elif block["type"] == "thinking":
        begun = block | {"thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        begun = block | {"input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(json.dumps(block["input"]))]
    return [
        {"type": "content_block_start", "index": index, "content_block": begun},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


class Client:
    """Appends the content of each answer as it is."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def say(self, text: str) -> None:
        """A text of the user's: beside results, where there are any."""
        self._user({"type": "text", "text": text})

    def _user(self, block: Json) -> None:
        if not self.messages or self.messages[-1]["role"] != "user":
            self.messages.append({"role": "user", "content": []})
        self.messages[-1]["content"].append(block)

    def request(self, *, streamed: bool) -> Json:
        """The whole conversation."""
        tools = [{"name": name, "input_schema": schema(name)} for name in TOOLS]
        thinking = {"type": "enabled", "budget_tokens": 1024}
        head = {"model": MODEL, "max_tokens": 2048, "thinking": thinking, "system": "Be brief.", "tools": tools}
        return head | {"messages": self.messages, "stream": streamed}

    def hear(self, answer: bytes, *, streamed: bool) -> list[Call]:
        """The message, put together by index where it comes in events."""
        content = _assembled(answer) if streamed else orjson.loads(answer)["content"]
        self.messages.append({"role": "assistant", "content": content})
        return [Call(b["id"], b["name"], b["input"]) for b in content if b["type"] == "tool_use"]

    def give(self, call: Call, text: str) -> None:
        """A result."""
        self._user({"type": "tool_result", "tool_use_id": call.id, "content": text})


_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


def _assembled(stream: bytes) -> list[Json]:
    blocks: dict[int, Json] = {}
    given: dict[int, str] = {}
    for event in documents(stream):
        if event["type"] == "content_block_start":
            assert event["index"] not in blocks
            blocks[event["index"]] = event["content_block"]
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            if delta["type"] == "input_json_delta":
                given[event["index"]] = given.get(event["index"], "") + delta["partial_json"]
            else:
                name = _DELTAS[delta["type"]]
                block[name] = block.get(name, "") + delta[name]
    for index, text in given.items():
        blocks[index]["input"] = json.loads(text)
    return [blocks[index] for index in sorted(blocks)]
