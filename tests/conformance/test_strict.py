"""The strict providers refuse what they are there to refuse: each rule fires on a history that breaks it, and rests."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.strict import FORMS, MAIL, WEATHER, RefusedError, Turn
from tests.conformance.strict.talk import Talk, runtime

BOTH = Turn("I look first.", "The user wants to know.", [(WEATHER, {"what": "Oslo"}), (MAIL, {"what": "a letter"})])

type Break = Callable[[Any], object]


def _swap(items: list[Any], one: int, other: int) -> None:
    items[one], items[other] = items[other], items[one]


CHAT: dict[str, Break] = {
    "did not have response messages": lambda r: r["messages"].pop(),
    "must be a response to a preceeding message": lambda r: r["messages"].pop(2),
    "ids that this model did not make": lambda r: r["messages"][2]["tool_calls"][0].update(id="call_x"),
    "too short": lambda r: (r["messages"][2].update(tool_calls=[]), r["messages"].pop(), r["messages"].pop()),
    "Invalid value: 'robot'": lambda r: r["messages"][1].update(role="robot"),
    "Invalid value for 'content'": lambda r: r.update(messages=[{"role": "assistant", "content": None}]),
}
GOOGLE: dict[str, Break] = {
    "missing a thought_signature": lambda r: r["messages"][2]["tool_calls"][0].pop("extra_content"),
    "not valid": lambda r: r["messages"][2]["tool_calls"][0].update(
        extra_content={"google": {"thought_signature": "x"}}
    ),
}
MISTRAL: dict[str, Break] = {
    "Not the same number": lambda r: r["messages"].pop(),
    "Unexpected role 'user' after role 'tool'": lambda r: r["messages"].append({"role": "user", "content": "x"}),
    "Expected last role": lambda r: r["messages"].append({"role": "assistant", "content": "x"}),
    "length of 9": lambda r: r["messages"][2]["tool_calls"][0].update(id="call_00000001"),
}
ANTHROPIC: dict[str, Break] = {
    "without `tool_result` blocks immediately after": lambda r: r["messages"][2]["content"].pop(),
    "unexpected `tool_use_id`": lambda r: r["messages"][1]["content"].pop(),
    "`tool_use` ids were found": lambda r: r["messages"][2]["content"].insert(0, {"type": "text", "text": "x"}),
    "text after `tool_use`": lambda r: r["messages"][1]["content"].append({"type": "text", "text": "x"}),
    "cannot be modified": lambda r: r["messages"][1]["content"][0].update(thinking="x"),
    "Invalid `signature`": lambda r: r["messages"][1]["content"][0].update(signature="x"),
    "Expected `thinking`": lambda r: r["messages"][1]["content"].pop(0),
    "final block": lambda r: _swap(r["messages"][1]["content"], 0, 3),
    "did not make": lambda r: r["messages"][1]["content"][2].update(id="toolu_x"),
    "non-whitespace": lambda r: r["messages"][1]["content"][1].update(text=" "),
    "non-empty content": lambda r: r["messages"][0].update(content=[]),
    "must end with a user message": lambda r: r["messages"].pop(),
    "single result": lambda r: r["messages"][2]["content"].append(r["messages"][2]["content"][0]),
}
GEMINI: dict[str, Break] = {
    "number of function response parts": lambda r: r["contents"][2]["parts"].pop(),
    "missing a thought_signature": lambda r: r["contents"][1]["parts"][2].pop("thoughtSignature"),
    "not valid": lambda r: r["contents"][1]["parts"][2].update(thoughtSignature="x"),
    "Corrupted": lambda r: r["contents"][1]["parts"][1].update(
        thoughtSignature=r["contents"][1]["parts"][2]["thoughtSignature"]
    ),
    "immediately after a user turn": lambda r: r["contents"].insert(1, {"role": "model", "parts": [{"text": "x"}]}),
    "one initialized field": lambda r: r["contents"][0]["parts"].append({}),
    "must not be empty": lambda r: r["contents"][0].update(parts=[]),
    "ends with a user turn": lambda r: r["contents"].append({"role": "model", "parts": [{"text": "x"}]}),
}
BEDROCK: dict[str, Break] = {
    "Expected toolResult blocks": lambda r: r["messages"][2]["content"].pop(),
    "exceeds the number": lambda r: r["messages"][1]["content"].pop(),
    "text after toolUse": lambda r: r["messages"][1]["content"].append({"text": "x"}),
    "Invalid `signature`": lambda r: r["messages"][1]["content"][0]["reasoningContent"]["reasoningText"].update(
        text="x"
    ),
    "Expected `thinking`": lambda r: r["messages"][1]["content"].pop(0),
    "must alternate": lambda r: r["messages"].append({"role": "user", "content": [{"text": "x"}]}),
    "start with a user": lambda r: r["messages"].pop(0),
    "prefill": lambda r: r["messages"].append({"role": "assistant", "content": [{"text": "x"}]}),
    "toolConfig": lambda r: r.pop("toolConfig"),
    "blank": lambda r: r["messages"][1]["content"][1].update(text=" "),
    "cannot be empty": lambda r: r["messages"][2]["content"][0]["toolResult"].update(content=[]),
    "the pattern": lambda r: r["messages"][1]["content"][2]["toolUse"].update(toolUseId="a b"),
    "did not make": lambda r: r["messages"][1]["content"][2]["toolUse"].update(toolUseId="a"),
}
COHERE: dict[str, Break] = {
    "did not have response messages": lambda r: r["messages"].pop(),
    "no tool call before it": lambda r: r["messages"].pop(2),
    "must have content": lambda r: r["messages"][1].update(content=""),
    "must not be empty": lambda r: (r["messages"][2].update(tool_calls=[]), r["messages"].pop(), r["messages"].pop()),
    "did not make": lambda r: r["messages"][2]["tool_calls"][0].update(id="x"),
}
OLLAMA: dict[str, Break] = {
    "type string": lambda r: r["messages"][0].update(content=[]),
    "ToolCallFunctionArguments": lambda r: r["messages"][1]["tool_calls"][0]["function"].update(arguments="{}"),
    "invalid role": lambda r: r["messages"][0].update(role="robot"),
    "names the tool": lambda r: r["messages"][2].pop("tool_name"),
}
RESPONSES: dict[str, Break] = {
    "No tool output found for custom tool call": lambda r: r["input"].pop(),
    "No tool call found": lambda r: r["input"].pop(3),
    "without its required following item": lambda r: r["input"].pop(2),
    "without its required 'reasoning' item": lambda r: r["input"].pop(1),
    "could not be verified": lambda r: r["input"][1].update(encrypted_content="x"),
    "begins with 'msg'": lambda r: r["input"][0].update(id="x"),
    "did not make": lambda r: r["input"][3].update(call_id="x"),
    "not found": lambda r: r["input"].append({"type": "item_reference", "id": "msg_x"}),
    "Previous response with id": lambda r: r.update(previous_response_id="resp_x"),
}
KEPT: dict[str, Break] = {
    "No tool output found for custom tool call": lambda r: r["input"].pop(),
    "No tool output found for function call": lambda r: r.update(input=[]),
    "No tool call found": lambda r: r["input"].append(r["input"][0]),
}

BROKEN = {
    "openai_chat": CHAT,
    "openai_chat-google": GOOGLE,
    "openai_responses-client": RESPONSES,
    "openai_responses-stored": RESPONSES,
    "openai_responses-previous": KEPT,
    "openai_responses-conversation": KEPT,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "bedrock_converse": BEDROCK,
    "cohere_v2": COHERE,
    "mistral_chat": MISTRAL,
    "ollama": OLLAMA,
}


@pytest.mark.parametrize(
    ("name", "reason"), [(name, reason) for name, broken in BROKEN.items() for reason in broken], ids=str
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_what_the_real_provider_refuses_is_refused(name: str, reason: str, streamed: bool) -> None:
    talk = Talk(FORMS[name], runtime("version: 1\n"), streamed)
    talk.client.say("How is it?")
    talk.step(BOTH)
    request = talk.client.request(streamed=streamed)
    talk.provider.ask(request)
    BROKEN[name][reason](request)
    with pytest.raises(RefusedError) as refused:
        talk.provider.ask(request)
    assert reason in str(refused.value)
