"""OpenAI's responses, with and without the provider's memory, over HTTP and WebSocket, checked as strictly."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

from tests.codecs import streams
from tests.conformance.strict.base import MAIL, MODEL, TOOLS, Call, Json, Made, Turn, documents, pieces, require, schema

type Memory = Literal["client", "stored", "previous", "conversation"]
"""Who remembers: the client (`store: false`), both, or the provider, by response or by conversation."""

_CALLS = {"function_call": ("fc_", "function call"), "custom_tool_call": ("ctc_", "custom tool call")}
_PREFIX = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}


class _Kept(NamedTuple):
    """What the provider knows of an item that it made."""

    needs: str | None
    """The reasoning that it came of."""
    followed_by: str | None


@dataclass
class Provider:
    """`POST /v1/responses`, and its WebSocket."""

    made: Made = field(default_factory=Made)
    items: dict[str, _Kept] = field(default_factory=dict)
    kept: dict[str, list[Json]] = field(default_factory=dict)
    """All items of the conversation up to a response, by its id or by the conversation's."""
    context: list[Json] = field(default_factory=list)
    conversation: str | None = None

    def ask(self, request: Json) -> None:
        """Calls paired with outputs, in memory and input together; reasoning with its items; ids that it knows."""
        given = request.get("input", [])
        items = [{"role": "user", "content": given}] if isinstance(given, str) else given
        self.conversation = request.get("conversation")
        name = request.get("previous_response_id") or self.conversation
        if name is not None and name == request.get("previous_response_id"):
            require(name in self.kept, f"Previous response with id '{name}' not found.")
        for index, item in enumerate(items):
            self._item(item, items[:index], items[index + 1 :])
        self.context = [*self.kept.get(name or "", ()), *items]
        self._pairs(self.context)

    def _item(self, item: Json, before: Sequence[Json], after: Sequence[Json]) -> None:
        kind = item.get("type", "message")
        identity = item.get("id")
        if kind == "item_reference":
            require(identity in self.items, f"Item with id '{identity}' not found.")
        elif identity is not None:
            require(
                identity.startswith(_PREFIX[kind]),
                f"Invalid 'input[].id': '{identity}'. Expected an ID that begins with '{_PREFIX[kind]}'.",
            )
        if kind in _CALLS:
            require(item["call_id"] in self.made.ids, f"a call_id that this model did not make: {item['call_id']}")
        known = self.items.get(identity or "", _Kept(None, None))
        if kind == "reasoning":
            require(identity in self.items, f"Item with id '{identity}' not found.")
            sealed = item.get("encrypted_content")
            require(
                sealed is None or self.made.signed.get(sealed) == identity,
                "The encrypted content could not be verified.",
            )
            # continuedev/continue 8933, recorded too
            follower = after[0].get("id") if after else None
            require(
                follower == known.followed_by,
                f"Item '{identity}' of type 'reasoning' was provided without its required following item.",
            )
        elif known.needs is not None:  # 0xPlaygrounds/rig 751
            require(
                any(earlier.get("id") == known.needs for earlier in before),
                f"Item '{identity}' of type '{kind}' was provided without its required 'reasoning' item: {known.needs}",
            )

    def _pairs(self, items: Sequence[Json]) -> None:
        waiting: dict[str, str] = {}
        for item in items:
            kind = item.get("type", "message")
            if kind in _CALLS:
                waiting[item["call_id"]] = kind
            elif kind.endswith("_output"):
                answered = waiting.pop(item["call_id"], None)
                # continuedev/continue 10092
                require(
                    answered is not None and kind == f"{answered}_output",
                    f"No tool call found for function call output with call_id {item['call_id']}.",
                )
        for call_id, kind in waiting.items():  # openai-agents-python 673, OmniRoute 8946
            require(False, f"No tool output found for {_CALLS[kind][1]} {call_id}.")

    # answers

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """A response, or its events."""
        events = self.events(turn)
        if not streamed:
            return orjson.dumps(events[-1]["response"])
        return streams.stream(*events, named=True)

    def events(self, turn: Turn) -> list[Json]:
        """All events of an answer; the last one says all of it."""
        name = self.made.id("resp_{:040}")
        output = self._output(turn)
        self.kept[name] = [*self.context, *output]
        if self.conversation is not None:
            self.kept[self.conversation] = self.kept[name]
        head: Json = {"id": name, "object": "response", "created_at": 1, "model": MODEL, "error": None}
        if self.conversation is not None:
            head["conversation"] = {"id": self.conversation}
        running = head | {"status": "in_progress", "output": []}
        events: list[Json] = [{"type": f"response.{step}", "response": running} for step in ("created", "in_progress")]
        for index, item in enumerate(output):
            events += _events(index, item)
        events.append({"type": "response.completed", "response": head | {"status": "completed", "output": output}})
        return [event | {"sequence_number": number} for number, event in enumerate(events)]

    def _output(self, turn: Turn) -> list[Json]:
        output: list[Json] = []
        if turn.thinks:
            identity = self.made.id("rs_{:040}")
            summary = [{"type": "summary_text", "text": turn.thinks}]
            sealed = self.made.sign(identity)
            output.append({"id": identity, "type": "reasoning", "summary": summary, "encrypted_content": sealed})
        if turn.says:
            content = [{"type": "output_text", "text": turn.says, "annotations": [], "logprobs": []}]
            message = {"type": "message", "role": "assistant", "status": "completed", "content": content}
            output.append({"id": self.made.id("msg_{:040}")} | message)
        for name, arguments in turn.calls:
            kind, member = ("custom_tool_call", "input") if name == MAIL else ("function_call", "arguments")
            call = {"type": kind, "call_id": self.made.id("call_{:024}"), "name": name, member: json.dumps(arguments)}
            output.append({"id": self.made.id(_CALLS[kind][0] + "{:040}"), "status": "completed"} | call)
        needs = output[0]["id"] if turn.thinks else None
        for index, item in enumerate(output):
            after = output[index + 1]["id"] if index + 1 < len(output) else None
            own = item["type"] == "reasoning"
            self.items[item["id"]] = _Kept(None if own else needs, after if own else None)
        return output


def _events(index: int, item: Json) -> list[Json]:
    begun, told = _told(index, item)
    done = {"type": "response.output_item.done", "output_index": index, "item": item}
    return [{"type": "response.output_item.added", "output_index": index, "item": begun}, *told, done]


def _told(index: int, item: Json) -> tuple[Json, list[Json]]:
    """An item as it begins, and what is told until it is done."""
    place: Json = {"item_id": item["id"], "output_index": index}
    if item["type"] == "reasoning":
        place |= {"summary_index": 0}
        part, subject = item["summary"][0], "response.reasoning_summary_text"
        around = "response.reasoning_summary_part"
        begun = item | {"summary": [], "encrypted_content": "gAAAAother"}
    elif item["type"] == "message":
        place |= {"content_index": 0}
        part, subject, around = item["content"][0], "response.output_text", "response.content_part"
        begun = item | {"status": "in_progress", "content": []}
    else:
        member, subject = (
            ("input", "custom_tool_call_input") if "input" in item else ("arguments", "function_call_arguments")
        )
        deltas = [{"type": f"response.{subject}.delta", "delta": piece} | place for piece in pieces(item[member])]
        done = {"type": f"response.{subject}.done", member: item[member]} | place
        return item | {"status": "in_progress", member: ""}, [*deltas, done]
    return begun, [
        {"type": f"{around}.added", "part": part | {"text": ""}} | place,
        *({"type": f"{subject}.delta", "delta": piece} | place for piece in pieces(part["text"])),
        {"type": f"{subject}.done", "text": part["text"]} | place,
        {"type": f"{around}.done", "part": part} | place,
    ]


class Client:
    """Keeps what the provider does not."""

    def __init__(self, memory: Memory = "client") -> None:
        self.memory = memory
        self.items: list[Any] = []
        self.previous: str | None = None

    def say(self, text: str) -> None:
        """A user's message."""
        self.items.append({"role": "user", "content": [{"type": "input_text", "text": text}]})

    def request(self, *, streamed: bool) -> Json:
        """All items, or those that are new."""
        tools: list[Json] = [
            {"type": "custom", "name": name}
            if name == MAIL
            else {"type": "function", "name": name, "parameters": schema(name)}
            for name in TOOLS
        ]
        head: Json = {"model": MODEL, "instructions": "Be brief.", "tools": tools, "stream": streamed}
        head |= {"store": self.memory != "client", "include": ["reasoning.encrypted_content"]}
        if self.memory == "previous" and self.previous:
            head["previous_response_id"] = self.previous
        elif self.memory == "conversation":
            head["conversation"] = "conv_1"
        return head | {"input": self.items}

    def hear(self, answer: bytes, *, streamed: bool) -> list[Call]:
        """The output, put together item by item where it comes in events."""
        return self.take(documents(answer)) if streamed else self._heard(orjson.loads(answer))

    def take(self, events: Sequence[Json]) -> list[Call]:
        """The events of an answer: every copy of an item says the same."""
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        response = events[-1]["response"]
        assert events[-1]["type"] == "response.completed" and events[0]["response"]["id"] == response["id"]
        done = {
            event["output_index"]: event["item"] for event in events if event["type"] == "response.output_item.done"
        }
        assert [done[index] for index in sorted(done)] == response["output"]
        _check(events, response["output"])
        return self._heard(response)

    def _heard(self, response: Json) -> list[Call]:
        self.previous = response["id"]
        output = response["output"]
        self.items = [*self.items, *output] if self.memory in ("client", "stored") else []
        calls = [item for item in output if item["type"] in _CALLS]
        return [
            Call(item["call_id"], item["name"], json.loads(item["input" if "input" in item else "arguments"]))
            for item in calls
        ]

    def give(self, call: Call, text: str) -> None:
        """An output."""
        kind = "custom_tool_call_output" if call.name == MAIL else "function_call_output"
        self.items.append({"type": kind, "call_id": call.id, "output": text})


def _check(events: Sequence[Json], output: Sequence[Json]) -> None:
    """Deltas add up to what the item says in the end."""
    said: dict[int, str] = {}
    for event in events:
        if event["type"].endswith(".delta"):
            said[event["output_index"]] = said.get(event["output_index"], "") + event["delta"]
    for index, text in said.items():
        item = output[index]
        inner = (item.get("content") or item.get("summary") or [{}])[0]
        assert text == (item.get("arguments") or item.get("input") or inner.get("text"))
