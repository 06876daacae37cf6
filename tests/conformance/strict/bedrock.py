"""Bedrock's Converse before a Claude that thinks, as strictly as it is checked."""

import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

import orjson

from proxy.codecs.framings.event_stream import EventStream
from tests.codecs import event_frames
from tests.conformance.strict.base import TOOLS, Call, Json, Made, Turn, pieces, require, schema


class Provider:
    """`POST /model/{id}/converse`, `/converse-stream`."""

    def __init__(self) -> None:
        self.made = Made()

    def ask(self, request: Json) -> None:
        """Turns one after the other, calls paired with results, signatures."""
        messages = request["messages"]
        roles = [message["role"] for message in messages]
        require(
            roles[0] == "user",
            "A conversation must start with a user message. Try again with a conversation that does.",
        )
        # langgenius/dify 9294
        require(
            all(one != other for one, other in itertools.pairwise(roles)),
            "A conversation must alternate between user and assistant roles.",
        )
        require(roles[-1] == "user", "This model does not support assistant message prefill.")
        require(
            "toolConfig" in request,
            "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
        )
        waiting: list[str] = []
        for index, message in enumerate(messages):
            blocks = message["content"]
            require(bool(blocks), f"The content field at messages.{index} is empty.")
            for number, block in enumerate(blocks):
                text = block.get("text", "x").strip()
                require(
                    bool(text),
                    f"The text field in the ContentBlock object at messages.{index}.content.{number} is blank.",
                )
            if message["role"] == "user":
                self._results(blocks, waiting, index)
                waiting = []
            else:
                waiting = self._spoken(blocks, index)

    def _results(self, blocks: Sequence[Json], waiting: list[str], index: int) -> None:
        given = [block["toolResult"] for block in blocks if "toolResult" in block]
        for result in given:  # sample-multi-agent-orchestration-chat-on-agentcore 15
            require(
                bool(result["content"]), "The content field at toolResult cannot be empty when status value is error."
            )
        ids = [result["toolUseId"] for result in given]
        missing = [call_id for call_id in waiting if call_id not in ids]
        # agno 6698
        require(
            not missing,
            f"Expected toolResult blocks at messages.{index}.content for the following Ids: {', '.join(missing)}",
        )
        require(
            set(ids) <= set(waiting) and len(ids) == len(set(ids)),
            f"The number of toolResult blocks at messages.{index}.content exceeds the number of toolUse blocks of"
            " previous turn.",
        )

    def _spoken(self, blocks: Sequence[Json], index: int) -> list[str]:
        calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        for call_id in calls:  # llama_index 22775
            require(bool(re.fullmatch(r"[a-zA-Z0-9_.:-]{1,64}", call_id)), "toolUseId does not match the pattern")
        require(set(calls) <= self.made.ids, "a toolUseId that this model did not make")
        for block in blocks:
            reasoning = block.get("reasoningContent", {}).get("reasoningText")
            if reasoning:
                signed = self.made.signed.get(reasoning["signature"])
                require(signed == reasoning["text"], f"messages.{index}: Invalid `signature` in `thinking` block")
        require("reasoningContent" not in blocks[-1], "The final block in an assistant message cannot be `thinking`.")
        if calls:
            require("reasoningContent" in blocks[0], f"messages.{index}: Expected `thinking` or `redacted_thinking`")
            first = next(number for number, block in enumerate(blocks) if "toolUse" in block)
            # as at Anthropic's own API
            require(not any("text" in block for block in blocks[first:]), f"messages.{index}: text after toolUse")
        return calls

    # answers

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """A response, or its frames."""
        blocks: list[Json] = []
        if turn.thinks:
            text = {"text": turn.thinks, "signature": self.made.sign(turn.thinks)}
            blocks.append({"reasoningContent": {"reasoningText": text}})
        if turn.says:
            blocks.append({"text": turn.says})
        for name, arguments in turn.calls:
            call_id = self.made.id("tooluse_{:016}")
            blocks.append({"toolUse": {"toolUseId": call_id, "name": name, "input": dict(arguments)}})
        stop = "tool_use" if turn.calls else "end_turn"
        used = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
        if not streamed:
            said = {"output": {"message": {"role": "assistant", "content": blocks}}, "stopReason": stop}
            return orjson.dumps(said | {"usage": used, "metrics": {"latencyMs": 1}})
        events: list[tuple[str, Json]] = [("messageStart", {"role": "assistant"})]
        for index, block in enumerate(blocks):
            events += [(name, event | {"contentBlockIndex": index}) for name, event in _block(block)]
        events += [("messageStop", {"stopReason": stop}), ("metadata", {"usage": used, "metrics": {"latencyMs": 1}})]
        return b"".join(event_frames.event(name, orjson.dumps(event | {"p": "abcdefgh"})) for name, event in events)


def _block(block: Json) -> list[tuple[str, Json]]:
    begin: list[tuple[str, Json]] = []
    deltas: list[Json]
    if "text" in block:
        deltas = [{"text": piece} for piece in pieces(block["text"])]
    elif "reasoningContent" in block:
        text = block["reasoningContent"]["reasoningText"]
        deltas = [{"reasoningContent": {"text": piece}} for piece in pieces(text["text"])]
        deltas.append({"reasoningContent": {"signature": text["signature"]}})
    else:
        call = block["toolUse"]
        named = {"toolUseId": call["toolUseId"], "name": call["name"]}
        begin = [("contentBlockStart", {"start": {"toolUse": named}})]
        deltas = [{"toolUse": {"input": piece}} for piece in pieces(json.dumps(call["input"]))]
    return [*begin, *(("contentBlockDelta", {"delta": delta}) for delta in deltas), ("contentBlockStop", {})]


class Client:
    """Appends the message of each answer."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def say(self, text: str) -> None:
        """A text of the user's."""
        self._user({"text": text})

    def _user(self, block: Json) -> None:
        if not self.messages or self.messages[-1]["role"] != "user":
            self.messages.append({"role": "user", "content": []})
        self.messages[-1]["content"].append(block)

    def request(self, *, streamed: bool) -> Json:
        """The whole conversation."""
        tools = [{"toolSpec": {"name": name, "inputSchema": {"json": schema(name)}}} for name in TOOLS]
        return {"system": [{"text": "Be brief."}], "messages": self.messages, "toolConfig": {"tools": tools}}

    def hear(self, answer: bytes, *, streamed: bool) -> list[Call]:
        """The message, put together by index where it comes in frames."""
        content = _assembled(answer) if streamed else orjson.loads(answer)["output"]["message"]["content"]
        self.messages.append({"role": "assistant", "content": content})
        calls = [block["toolUse"] for block in content if "toolUse" in block]
        return [Call(call["toolUseId"], call["name"], call["input"]) for call in calls]

    def give(self, call: Call, text: str) -> None:
        """A result."""
        self._user({"toolResult": {"toolUseId": call.id, "content": [{"text": text}]}})


def _assembled(stream: bytes) -> list[Json]:
    blocks: dict[int, Json] = {}
    framing = EventStream()
    for frame in [*framing.feed(stream), *framing.finish()]:
        event = orjson.loads(frame.data)
        if frame.name == "contentBlockStart":
            blocks[event["contentBlockIndex"]] = {"toolUse": event["start"]["toolUse"] | {"input": ""}}
        elif frame.name == "contentBlockDelta":
            _grow(blocks, event["contentBlockIndex"], event["delta"])
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"])
    return [blocks[index] for index in sorted(blocks)]


def _grow(blocks: dict[int, Json], index: int, delta: Json) -> None:
    if "text" in delta:
        block = blocks.setdefault(index, {"text": ""})
        block["text"] += delta["text"]
    elif "toolUse" in delta:
        blocks[index]["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        inner = blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
        for name, value in delta["reasoningContent"].items():
            text = inner["reasoningContent"]["reasoningText"]
            text[name] = text.get(name, "") + value
