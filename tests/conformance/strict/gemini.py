"""Google's generateContent with a model that signs its calls (Gemini 3), as strictly as it is checked."""

from collections.abc import Sequence
from typing import Any

import orjson

from tests.conformance.strict.base import TOOLS, Call, Json, Made, Turn, documents, pieces, require, schema

_SKIPPED = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
"""Signatures that Google documents for calls without any (ai.google.dev, "Thought signatures", FAQ)."""


class Provider:
    """`:generateContent`, `:streamGenerateContent?alt=sse`."""

    def __init__(self) -> None:
        self.made = Made()

    def ask(self, request: Json) -> None:
        """The turns' order, counts of calls and responses, and signatures."""
        contents = request["contents"]
        waiting: list[str] = []
        before = ""
        for content in contents:
            parts = content["parts"]
            require(bool(parts), "contents.parts must not be empty.")
            for part in parts:
                require(
                    bool({*part} - {"thoughtSignature", "thought"}),
                    "required oneof field 'data' must have one initialized field",
                )
            responses = [part["functionResponse"]["name"] for part in parts if "functionResponse" in part]
            if responses or waiting:
                # gemini-cli 4217
                require(
                    sorted(responses) == sorted(waiting),
                    "Please ensure that the number of function response parts is equal to the number of function call"
                    " parts of the function call turn.",
                )
            waiting = []
            if content["role"] == "model":
                waiting = self._spoken(parts, before)
            before = "function" if responses else content["role"]
        require(contents[-1]["role"] != "model", "Please ensure that the conversation ends with a user turn.")

    def _spoken(self, parts: Sequence[Json], before: str) -> list[str]:
        calls = [part for part in parts if "functionCall" in part]
        if calls:
            require(
                before in ("user", "function"),
                "Please ensure that function call turn comes immediately after a user turn or after a function response"
                " turn.",
            )
            # Of parallel calls only the first is signed (googleapis/js-genai 1275)
            require(
                bool(calls[0].get("thoughtSignature")),
                "Function call is missing a thought_signature in functionCall parts.",
            )
        for part in parts:
            signature = part.get("thoughtSignature")
            if signature and signature not in _SKIPPED:
                signed = self.made.signed.get(signature)
                require(signed is not None, "Thought signature is not valid")
                kind, name = signed or ("", "")
                require(
                    kind in part and part.get("functionCall", {}).get("name", "") == name,
                    "Corrupted thought signature.",
                )
        return [part["functionCall"]["name"] for part in calls]

    # answers

    def answer(self, turn: Turn, *, streamed: bool) -> bytes:
        """An answer, or its chunks. The last text, or the first call, carries the signature."""
        parts: list[Json] = []
        if turn.thinks:
            parts.append({"text": turn.thinks, "thought": True})
        if turn.says:
            parts.append({"text": turn.says})
        for name, arguments in turn.calls:
            parts.append({"functionCall": {"name": name, "args": dict(arguments)}})
        first = next((part for part in parts if "functionCall" in part), parts[-1])
        kind = "functionCall" if turn.calls else "text"
        first["thoughtSignature"] = self.made.sign((kind, turn.calls[0][0] if turn.calls else ""))
        if not streamed:
            return orjson.dumps(_chunk(parts, "STOP"))
        chunks = [_chunk([piece], None) for part in parts for piece in _cut(part)]
        chunks.append(_chunk([{"text": ""}], "STOP"))
        return b"".join(b"data: " + orjson.dumps(chunk) + b"\r\n\r\n" for chunk in chunks)


def _cut(part: Json) -> list[Json]:
    if "text" not in part:
        return [part]
    cut = [part | {"text": piece} for piece in pieces(part["text"])]
    for piece in cut[:-1]:
        piece.pop("thoughtSignature", None)
    return cut


def _chunk(parts: Sequence[Json], finish: str | None) -> Json:
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    return {"candidates": [candidate | ({"finishReason": finish} if finish else {})], "modelVersion": "gemini-3-pro"}


class Client:
    """Appends the content of each answer; of a stream, the parts of all chunks, texts joined where none is signed."""

    def __init__(self) -> None:
        self.contents: list[Any] = []

    def say(self, text: str) -> None:
        """A content of the user's."""
        self.contents.append({"role": "user", "parts": [{"text": text}]})

    def request(self, *, streamed: bool) -> Json:
        """The whole conversation."""
        declared = [{"name": name, "parametersJsonSchema": schema(name)} for name in TOOLS]
        return {"contents": self.contents, "tools": [{"functionDeclarations": declared}]}

    def hear(self, answer: bytes, *, streamed: bool) -> list[Call]:
        """All parts, but empty ones."""
        chunks = documents(answer) if streamed else [orjson.loads(answer)]
        parts: list[Json] = []
        for chunk in chunks:
            for part in chunk["candidates"][0].get("content", {}).get("parts", ()):
                _join(parts, part)
        self.contents.append({"role": "model", "parts": parts})
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        return [Call(call.get("id", ""), call["name"], call["args"]) for call in calls]

    def give(self, call: Call, text: str) -> None:
        """A response, in the content of all of this turn."""
        part = {"functionResponse": {"name": call.name, "response": {"result": text}}}
        if "functionResponse" not in self.contents[-1]["parts"][0]:
            self.contents.append({"role": "user", "parts": []})
        self.contents[-1]["parts"].append(part)


def _join(parts: list[Json], part: Json) -> None:
    if part.get("text") == "" and "thoughtSignature" not in part:
        return
    last = parts[-1] if parts else {}
    plain = "text" in part and "text" in last and "thoughtSignature" not in last
    if plain and bool(part.get("thought")) == bool(last.get("thought")):
        parts[-1] = last | part | {"text": last["text"] + part["text"]}
    else:
        parts.append(part)
