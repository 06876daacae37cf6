"""What a denial looks like to the official SDKs: it stops them at once and the message is seen (clients-notes.md)."""

import json
from typing import Any

import anthropic
import openai
import pytest

from proxy.demo.answers import Answer, Call, Text, call, says
from proxy.demo.stand_in import StandIn
from tests.sdk.conftest import ANTHROPIC_MODEL, OPENAI_MODEL, Behind, Way
from tests.serving import DENYING, GUARDED, IDENTITY, NOTICE, REASON

ASK = [{"role": "user", "content": "Go."}]


def test_a_denied_request_stops_openai_at_once(behind: Behind, stand_in: StandIn) -> None:
    way = behind(DENYING)
    client = way.openai()
    for streaming in (False, True):
        with pytest.raises(openai.BadRequestError, match=REASON) as refused:
            client.chat.completions.create(model=OPENAI_MODEL, messages=ASK, stream=streaming)
        assert refused.value.response.headers["x-should-retry"] == "false"
        body: Any = refused.value.body
        assert {"message", "type", "param", "code"} <= body.keys()
    assert way.sent == 2
    assert stand_in.requests == []


def test_a_denied_request_stops_anthropic_at_once(behind: Behind, stand_in: StandIn) -> None:
    way = behind(DENYING)
    client = way.anthropic()
    with pytest.raises(anthropic.BadRequestError, match=REASON) as refused:
        client.messages.create(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK)
    body: Any = refused.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    with (
        pytest.raises(anthropic.BadRequestError, match=REASON),
        client.messages.stream(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK),
    ):
        pass
    assert way.sent == 2
    assert stand_in.requests == []


async def test_a_denied_request_stops_the_async_clients_at_once(behind: Behind, stand_in: StandIn) -> None:
    way = behind(DENYING)
    async with way.async_openai() as chat, way.async_anthropic() as messages:
        with pytest.raises(openai.BadRequestError, match=REASON):
            await chat.chat.completions.create(model=OPENAI_MODEL, messages=ASK)
        with pytest.raises(anthropic.BadRequestError, match=REASON):
            await messages.messages.create(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK)
    assert way.sent == 2
    assert stand_in.requests == []


def test_without_the_right_token_nothing_goes_up(behind: Behind, stand_in: StandIn) -> None:
    for credentials in (("", ""), ("builder", "wrong"), ("nobody", "token-for-tests")):
        way = behind(GUARDED, credentials=credentials)
        with pytest.raises(openai.OpenAIError):
            way.openai(max_retries=0).chat.completions.create(model=OPENAI_MODEL, messages=ASK)
    assert stand_in.requests == []


# Tool calls

READ_ENV = call("read_file", {"path": "/srv/app/.env"}, call_id="call_env")
READ_README = call("read_file", {"path": "/srv/app/README.md"}, call_id="call_readme")


def _openai_message(way: Way, streaming: bool) -> tuple[str, list[tuple[str, Any]], str]:
    """Text, calls (id, arguments) and finish reason."""
    if streaming:
        with way.openai().chat.completions.stream(model=OPENAI_MODEL, messages=ASK) as stream:
            choice: Any = stream.get_final_completion().choices[0]
    else:
        choice = way.openai().chat.completions.create(model=OPENAI_MODEL, messages=ASK).choices[0]
    calls = [(item.id, json.loads(item.function.arguments)) for item in choice.message.tool_calls or ()]
    return choice.message.content or "", calls, choice.finish_reason


def _anthropic_message(way: Way, streaming: bool) -> tuple[str, list[tuple[str, Any]], str]:
    client = way.anthropic()
    if streaming:
        with client.messages.stream(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK) as stream:
            message: Any = stream.get_final_message()
    else:
        message = client.messages.create(model=ANTHROPIC_MODEL, max_tokens=9, messages=ASK)
    text = "".join(block.text for block in message.content if block.type == "text")
    return text, [(b.id, b.input) for b in message.content if b.type == "tool_use"], message.stop_reason


MESSAGES = {
    "openai": (_openai_message, "stop", "tool_calls"),
    "anthropic": (_anthropic_message, "end_turn", "tool_use"),
}


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", MESSAGES)
def test_a_denied_call_is_cut_out(behind: Behind, stand_in: StandIn, api: str, streaming: bool) -> None:
    read, ended, _ = MESSAGES[api]
    stand_in.scenario = lambda _: Answer((Text("I will ", "read it."), READ_ENV))
    text, calls, stop = read(behind(GUARDED), streaming)
    assert text.startswith("I will read it.")
    assert NOTICE in text
    assert (calls, stop) == ([], ended)


@pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("api", MESSAGES)
@pytest.mark.parametrize("order", [(READ_ENV, READ_README), (READ_README, READ_ENV)], ids=["first", "last"])
def test_only_the_denied_call_of_two_is_cut_out(
    behind: Behind, stand_in: StandIn, api: str, streaming: bool, order: tuple[Call, Call]
) -> None:
    read, _, goes_on = MESSAGES[api]
    stand_in.scenario = lambda _: Answer((Text("Both."), *order))
    text, calls, stop = read(behind(GUARDED), streaming)
    assert NOTICE in text
    assert calls == [("call_readme", {"path": "/srv/app/README.md"})]
    assert stop == goes_on


def test_a_denied_call_is_never_seen_in_part(behind: Behind, stand_in: StandIn) -> None:
    """pain-points.md 4: not its name, not a fragment of its arguments."""
    stand_in.scenario = lambda _: Answer((Text("Now."), Call("read_file", tuple('{"path":"/srv/app/.env"}'))))
    streaming = behind(GUARDED).openai().chat.completions.with_streaming_response
    with streaming.create(model=OPENAI_MODEL, messages=ASK, stream=True) as response:
        got = b"".join(response.iter_bytes())
    assert b"tool_calls" not in got
    assert b"/srv" not in got


# Tool results


def test_a_denied_result_becomes_a_notice_and_the_run_goes_on(behind: Behind, stand_in: StandIn) -> None:
    way = behind(GUARDED)
    function = {"name": "payroll", "arguments": "{}"}
    calling = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    told = "everybody earns 100"
    result = {"role": "tool", "tool_call_id": "call_1", "content": told}
    chat = way.openai().chat.completions.create(model=OPENAI_MODEL, messages=[*ASK, calling, result])
    use = {"type": "tool_use", "id": "call_1", "name": "payroll", "input": {}}
    given = {
        "type": "tool_result",
        "tool_use_id": "call_1",
        "content": [{"type": "text", "text": "everybody earns 100"}],
    }
    history = [*ASK, {"role": "assistant", "content": [use]}, {"role": "user", "content": [given]}]
    way.anthropic().messages.create(model=ANTHROPIC_MODEL, max_tokens=9, messages=history)
    assert chat.choices[0].message.content == "FINAL_TEXT_OK"
    for request in stand_in.requests:
        assert "everybody earns" not in request.text
        assert REASON in request.text


# Budgets

BUDGET = f"""version: 1
{IDENTITY}
budgets:
  - id: daily
    per: agent
    window: month
    limit: {{tokens: 10_000, requests: 100}}
    exceeded: deny
"""
# A month, so that no test run crosses the end of the window but once in one.


@pytest.mark.parametrize("api", ["openai", "anthropic"])
def test_a_budget_that_runs_out_stops_the_agent(behind: Behind, stand_in: StandIn, api: str) -> None:
    way = behind(BUDGET, name=api)  # a midstream, and so a ledger, of its own
    stand_in.scenario = lambda _: says("expensive ", "words", input_tokens=9_000, output_tokens=2_000)
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError), match="daily"):
        for _ in range(3):
            _spend(way, api)
    assert len(stand_in.requests) == 1
    assert way.sent == 2


def _spend(way: Way, api: str) -> None:
    if api == "openai":
        chat = way.openai().chat.completions
        with chat.stream(model=OPENAI_MODEL, messages=ASK) as stream:
            stream.until_done()
    else:
        with way.anthropic().messages.stream(model=ANTHROPIC_MODEL, max_tokens=50, messages=ASK) as stream:
            stream.until_done()
