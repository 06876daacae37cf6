"""Calls that a provider remembers, and the client never saw: answered for it in each format, once, in each shape."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Owed, providers
from proxy.codecs.splicing import splice
from proxy.exchange import Exchange
from proxy.judge import Runtime
from proxy.streamed import Streamed
from tests.codecs import documents, streams
from tests.codecs.documents import ANY_JSON
from tests.conformance.strict.talk import exchange, runtime

DENY = """
version: 1
rules:
  - {id: no-run, at: pre_tool_execution, tools: [run], verdict: deny, reason: it stays}
  - {id: no-secrets, at: post_llm_response, find: [secret], verdict: deny, reason: keys stay}
  - {id: no-look, at: post_tool_execution, tools: [look], verdict: deny, reason: it stays}
"""
TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
NOTICE = "[midstream] The call of run was denied by rule no-run: it stays"


def sent(one: Exchange, request: Any) -> Any:
    body = orjson.dumps(request)
    outcome = one.on_request(body)
    assert outcome.refusal is None
    return orjson.loads(body if outcome.body is None else outcome.body)


# what a result looks like

FORMS: dict[str, dict[str, Any]] = {
    "function_call": {"type": "function_call_output", "call_id": "c1", "output": "NO"},
    "custom_tool_call": {"type": "custom_tool_call_output", "call_id": "c1", "output": "NO"},
    "local_shell_call": {
        "type": "local_shell_call_output",
        "call_id": "c1",
        "output": '{"stdout":"","stderr":"NO","exit_code":1}',
    },
    "shell_call": {
        "type": "shell_call_output",
        "call_id": "c1",
        "output": [{"stdout": "", "stderr": "NO", "outcome": {"type": "exit", "exit_code": 1}}],
    },
    "apply_patch_call": {"type": "apply_patch_call_output", "call_id": "c1", "status": "failed", "output": "NO"},
    "mcp_approval_request": {
        "type": "mcp_approval_response",
        "approval_request_id": "c1",
        "approve": False,
        "reason": "NO",
    },
    "x_brand_new_call": {"type": "x_brand_new_call_output", "call_id": "c1", "output": "NO"},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_result_has_the_shape_of_its_call(form: str) -> None:
    codec = providers.codec("openai_responses")
    request = {"previous_response_id": "resp_1", "input": [{"role": "user", "content": "x"}]}
    changes = codec.answer_kept(request, [Owed("c1", "run", form, "NO")])
    assert orjson.loads(splice(orjson.dumps(request), changes))["input"] == [FORMS[form], *request["input"]]
    # and is read as a result of that call
    read = codec.read_request({"input": [FORMS[form]]})
    assert [result.call_id for result in read.results] == ["c1"]


@pytest.mark.parametrize("form", ["computer_call", "tool_search_call"])
def test_where_a_result_has_no_words_a_message_says_them(form: str) -> None:
    request = {"input": [{"role": "user", "content": "x"}]}
    changes = providers.codec("openai_responses").answer_kept(request, [Owed("c1", "run", form, "NO")])
    result, said, last = orjson.loads(splice(orjson.dumps(request), changes))["input"]
    assert (result["call_id"], last["content"]) == ("c1", "x")
    assert said == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "NO"}]}


GIVEN = {"type": "function_call_output", "call_id": "c1", "output": "NO"}
SAID = {"type": "message", "role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"input": "hi"}, {"input": [GIVEN, SAID]}),
        ({"input": []}, {"input": [GIVEN]}),
        ({"model": "m"}, {"model": "m", "input": [GIVEN]}),
        ({"type": "response.create", "input": "hi"}, {"type": "response.create", "input": [GIVEN, SAID]}),
        (
            {"type": "response.create", "response": {"input": "hi"}},
            {"type": "response.create", "response": {"input": [GIVEN, SAID]}},
        ),
    ],
    ids=str,
)
def test_a_result_stands_before_what_is_said(request_: Any, expected: Any) -> None:
    changes = providers.codec("openai_responses").answer_kept(request_, [Owed("c1", "run", "function_call", "NO")])
    assert orjson.loads(splice(orjson.dumps(request_), changes)) == expected


# other providers that remember

CONVERSATION: dict[str, Any] = {
    "conversation_id": "conv_1",
    "outputs": [
        {"type": "function.call", "id": "fc_1", "tool_call_id": "c1", "name": "run", "arguments": "{}"},
        {"type": "function.call", "id": "fc_2", "tool_call_id": "c2", "name": "look", "arguments": "{}"},
    ],
}
ENTRY = {"type": "function.result", "tool_call_id": "c1", "result": NOTICE}
INTERACTION: dict[str, Any] = {
    "id": "v1_1",
    "status": "requires_action",
    "steps": [
        {"type": "function_call", "id": "c1", "name": "run", "arguments": {}},
        {"type": "function_call", "id": "c2", "name": "look", "arguments": {}},
    ],
}
STEP = {"type": "function_result", "call_id": "c1", "name": "run", "result": NOTICE, "is_error": True}


def streamed(name: str) -> bytes:
    """The same answers as the events of a stream."""
    if name == "mistral_conversations":
        calls = [
            call | {"type": "function.call.delta", "output_index": index}
            for index, call in enumerate(CONVERSATION["outputs"])
        ]
        begun = {"type": "conversation.response.started", "conversation_id": "conv_1"}
        return streams.stream(begun, *calls, {"type": "conversation.response.done", "usage": {}}, named=True)
    steps: list[Any] = [{"event_type": "interaction.created", "interaction": {"id": "v1_1", "status": "in_progress"}}]
    for index, step in enumerate(INTERACTION["steps"]):
        steps.append({"event_type": "step.start", "index": index, "step": step})
        steps.append({"event_type": "step.stop", "index": index})
    over = {"id": "v1_1", "status": "requires_action"}
    return streams.stream(*steps, {"event_type": "interaction.completed", "interaction": over})


def answered(running: Runtime, name: str, *, as_stream: bool) -> None:
    """A first exchange, in which one of two calls is cut."""
    one = exchange(running, name)
    one.on_request(b'{"inputs":"hi","input":"hi"}')
    if as_stream:
        guard = Streamed(one, "text/event-stream")
        out = guard.feed(streamed(name)) + guard.finish()
    else:
        whole = CONVERSATION if name == "mistral_conversations" else INTERACTION
        out = one.on_response(orjson.dumps(whole)).body or b""
    assert NOTICE.encode() in out and b'"run"' not in out and b'"look"' in out


LOOKED = "[midstream] The result of look was denied by rule no-look: it stays"

FOLLOWING: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "mistral_conversations",
        {"conversation_id": "conv_1", "inputs": "next"},
        {"inputs": [ENTRY, {"type": "message.input", "role": "user", "content": "next"}]},
    ),
    (
        "mistral_conversations",
        {"conversation_id": "conv_1", "inputs": [{"type": "function.result", "tool_call_id": "c2", "result": "x"}]},
        {"inputs": [ENTRY, {"type": "function.result", "tool_call_id": "c2", "result": LOOKED}]},
    ),
    ("mistral_conversations", {"conversation_id": "conv_1", "inputs": []}, {"inputs": [ENTRY]}),
    (
        "gemini_interactions",
        {"previous_interaction_id": "v1_1", "input": "next"},
        {"input": [STEP, {"type": "user_input", "content": [{"type": "text", "text": "next"}]}]},
    ),
    (
        "gemini_interactions",
        {"previous_interaction_id": "v1_1", "input": {"type": "text", "text": "next"}},
        {"input": [STEP, {"type": "user_input", "content": [{"type": "text", "text": "next"}]}]},
    ),
    (
        "gemini_interactions",
        {"previous_interaction_id": "v1_1", "input": [{"type": "text", "text": "next"}]},
        {"input": [STEP, {"type": "user_input", "content": [{"type": "text", "text": "next"}]}]},
    ),
    (
        "gemini_interactions",
        {"previous_interaction_id": "v1_1", "input": [{"role": "user", "content": "next"}]},
        {"input": [{"role": "user", "content": [STEP]}, {"role": "user", "content": "next"}]},
    ),
    (
        "gemini_interactions",
        {"previous_interaction_id": "v1_1", "input": [{"type": "function_result", "call_id": "c2", "result": "x"}]},
        {"input": [STEP, {"type": "function_result", "call_id": "c2", "result": LOOKED, "is_error": True}]},
    ),
    (
        "gemini_interactions",
        {"previous_interaction_id": "v1_1", "input": {"type": "user_input", "content": []}},
        {"input": [STEP, {"type": "user_input", "content": []}]},
    ),
    ("gemini_interactions", {"previous_interaction_id": "v1_1"}, {"input": [STEP]}),
]


@pytest.mark.parametrize(("name", "request_", "expected"), FOLLOWING, ids=str)
@pytest.mark.parametrize("as_stream", [False, True], ids=["whole", "streamed"])
def test_a_cut_call_is_answered_and_results_of_the_others_are_known_by_their_tool(
    name: str, request_: Any, expected: Any, as_stream: bool
) -> None:
    running = runtime(DENY)
    answered(running, name, as_stream=as_stream)
    got = sent(exchange(running, name), request_)
    assert {key: got[key] for key in expected} == expected
    assert sent(exchange(runtime(DENY), name), request_) == request_  # nothing is known of it


def test_a_conversation_that_begins_anew_from_an_earlier_entry_is_left_alone() -> None:
    running = runtime(DENY)
    answered(running, "mistral_conversations", as_stream=False)
    request = {"conversation_id": "conv_1", "from_entry_id": "msg_0", "inputs": "next"}
    assert sent(exchange(running, "mistral_conversations"), request) == request


# what a conversation owes, and until when


def response(status: str, *output: Any, **members: Any) -> dict[str, Any]:
    head = {"object": "response", "status": status, "conversation": {"id": "conv_1"}, "output": list(output)}
    return {"id": f"resp_{len(output)}"} | head | members


RUN = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "run", "arguments": "{}"}
ASK = {"conversation": "conv_1", "input": []}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": NOTICE}


def test_an_answer_that_fails_leaves_the_conversation_owing() -> None:
    running = runtime(DENY)
    one = exchange(running, "openai_responses")
    sent(one, ASK)
    one.on_response(orjson.dumps(response("completed", RUN)))
    for status in ("failed", "cancelled"):
        again = exchange(running, "openai_responses")
        assert sent(again, ASK)["input"] == [RESULT]
        again.on_response(orjson.dumps(response(status)))
    last = exchange(running, "openai_responses")
    assert sent(last, ASK)["input"] == [RESULT]
    last.on_response(orjson.dumps(response("completed")))
    assert sent(exchange(running, "openai_responses"), ASK) == ASK


def test_a_stream_that_fails_leaves_the_conversation_owing() -> None:
    running = runtime(DENY)
    for output, kind, before in (([RUN], "completed", []), ([], "failed", [RESULT]), ([], "completed", [RESULT])):
        one = exchange(running, "openai_responses")
        assert sent(one, ASK | {"stream": True})["input"] == before
        created = {"type": "response.created", "response": response("in_progress")}
        over = {"type": f"response.{kind}", "response": response(kind, *output)}
        guard = Streamed(one, "text/event-stream")
        assert guard.feed(streams.stream(created, over, named=True)) + guard.finish()
    assert sent(exchange(running, "openai_responses"), ASK) == ASK


def test_all_calls_of_an_answer_that_is_denied_are_owed() -> None:
    """The client gets an error, and asks in the same conversation again."""
    running = runtime(DENY)
    one = exchange(running, "openai_responses")
    sent(one, ASK)
    look = RUN | {"call_id": "c2", "name": "look", "arguments": f'{{"a": "{TOKEN}"}}'}
    refused = one.on_response(orjson.dumps(response("completed", {"type": "message", "content": TOKEN}, look)))
    assert refused.refusal is not None
    (result,) = sent(exchange(running, "openai_responses"), ASK)["input"]
    assert result["call_id"] == "c2" and "no-secrets" in result["output"]


def test_another_agent_owes_nothing() -> None:
    running = runtime(DENY)
    one = exchange(running, "openai_responses")
    sent(one, ASK)
    one.on_response(orjson.dumps(response("completed", RUN)))
    other = exchange(running, "openai_responses")
    other.context.agent = other.context.agent.model_copy(update={"id": "other"})
    assert sent(other, ASK) == ASK


# any JSON

OWED = [Owed("c1", "run", "function_call", "NO"), Owed("c2", "run", "", "NO")]
KEEPING = {
    "openai_responses": {
        "previous_response_id": "r",
        "input": [
            {"type": "reasoning", "id": "rs_1"},
            {"type": "message", "role": "assistant", "id": "msg_midstream_1", "content": []},
            {"type": "function_call", "id": "fc_1", "call_id": "c"},
        ],
    },
    "mistral_conversations": {"conversation_id": "c", "inputs": [{"type": "message.input", "content": "x"}]},
    "gemini_interactions": {"previous_interaction_id": "c", "input": [{"type": "user_input", "content": []}]},
    "anthropic": {
        "messages": [
            {"role": "assistant", "content": [{"type": "tool_use"}, {"type": "text", "text": "[midstream] x"}]}
        ]
    },
    "bedrock_converse": {"messages": [{"role": "assistant", "content": [{"toolUse": {}}, {"text": "[midstream] x"}]}]},
}


@pytest.mark.parametrize("name", KEEPING)
@given(data=st.data())
def test_any_value_in_any_place_is_mended_and_answered(name: str, data: st.DataObject) -> None:
    document = KEEPING[name]
    place = data.draw(st.sampled_from([place for place in documents.places(document) if place]))
    request = documents.put(document, place, data.draw(ANY_JSON))
    codec = providers.codec(name)
    changes = [*codec.mend(request), *codec.answer_kept(request, OWED)]
    orjson.loads(splice(orjson.dumps(request), changes))
