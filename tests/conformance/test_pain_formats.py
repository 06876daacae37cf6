"""Signatures, unknown fields and sockets in every format: what users ran into (pain-points.md, rows 14-18).

Chat Completions and Messages through the running proxy are in test_pain_requests; here are the other formats.
"""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.streamed import Streamed
from tests.behind import answer, serving
from tests.codecs import event_frames, streams
from tests.conformance.strict import FORMS, LIST, MAIL, WEATHER, Turn
from tests.conformance.strict.talk import SocketTalk, Talk, exchange, runtime
from tests.judging import REDACT
from tests.scripted import ask

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
REDACTED = "[REDACTED:github_token]"
EMAIL = "grace.hopper@" + "navy-lab.org"

THINKING = (
    Turn(f"Use {TOKEN}.", f"The key is {TOKEN}, I see.", [(WEATHER, {"what": f"with {TOKEN}"})]),
    Turn("", f"Again {TOKEN}.", [(LIST, {"what": "/srv"})]),
    Turn("Good bye."),
)


@pytest.mark.parametrize("name", ["anthropic", "bedrock_converse", "gemini"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_signed_thinking_survives(name: str, streamed: bool) -> None:
    """Row 14 (headroom 2251, CLIProxyAPI 2172, llm-gateway 1658): down to the client and up again as it was signed,
    whatever stands in it; what is not signed beside it is edited. The provider compares it with what it made."""
    talk = Talk(FORMS[name], runtime(REDACT), streamed).over("How is it?", THINKING)
    assert len(talk.sent) == len(THINKING)
    for turn in THINKING[:2]:
        assert turn.thinks in str(talk.client.request(streamed=streamed))
        assert turn.thinks.encode() in talk.sent[-1]
    edited = talk.sent[-1].replace(THINKING[0].thinks.encode(), b"").replace(THINKING[1].thinks.encode(), b"")
    assert TOKEN.encode() not in edited and edited.count(REDACTED.encode()) == 2
    assert [call.arguments["what"] for call in talk.heard] == [f"with {REDACTED}", "/srv"]


# In these, SEALED stands for a value that nobody may edit, and TEXT for the same value as a text.

REQUESTS: dict[str, Any] = {
    "anthropic": {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "x", "signature": "SEALED"},
                    {"type": "redacted_thinking", "data": "SEALED"},
                    {"type": "text", "text": "TEXT", "citations": [{"cited_text": "x", "encrypted_index": "SEALED"}]},
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "srvtoolu_1",
                        "content": [{"type": "web_search_result", "title": "x", "encrypted_content": "SEALED"}],
                    },
                ],
            }
        ]
    },
    "openai_chat": {
        "messages": [
            {
                "role": "assistant",
                "content": "TEXT",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "x", "signature": "SEALED"},
                    {"type": "reasoning.encrypted", "data": "SEALED"},
                ],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a": "TEXT"}'},
                        "extra_content": {"google": {"thought_signature": "SEALED"}},
                    }
                ],
            }
        ]
    },
    "mistral_chat": {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "x"}], "signature": "SEALED"},
                    {"type": "text", "text": "TEXT"},
                ],
            }
        ]
    },
    "openai_responses": {
        "input": [
            {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "SEALED"},
            {"type": "compaction", "encrypted_content": "SEALED"},
            {"type": "program", "code": "TEXT", "fingerprint": "SEALED"},
            {"role": "user", "content": "TEXT"},
        ]
    },
    "gemini": {
        "contents": [
            {
                "role": "model",
                "parts": [
                    {"text": "TEXT", "thoughtSignature": "SEALED"},
                    {"functionCall": {"name": "f", "args": {"a": "TEXT"}}, "thought_signature": "SEALED"},
                    {"executableCode": {"code": "x"}, "thoughtSignature": "SEALED"},
                ],
            },
            {"role": "user", "parts": [{"text": "TEXT"}]},
        ]
    },
    "gemini_interactions": {
        "input": [
            {"type": "thought", "signature": "SEALED", "summary": [{"type": "text", "text": "x"}]},
            {"type": "model_output", "content": [{"type": "text", "text": "TEXT"}]},
        ]
    },
    "gemini_live": {
        "setup": {"sessionResumption": {"handle": "SEALED"}, "systemInstruction": {"parts": [{"text": "TEXT"}]}}
    },
    "bedrock_converse": {
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "x", "signature": "SEALED"}}},
                    {"reasoningContent": {"redactedContent": "SEALED"}},
                    {"text": "TEXT"},
                ],
            }
        ]
    },
    "bedrock_invoke": {
        "anthropic_version": "bedrock-2023-05-31",
        "messages": [
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "x", "signature": "SEALED"},
                    {"type": "text", "text": "TEXT"},
                ],
            }
        ],
    },
    "mistral_conversations": {
        "inputs": [
            {
                "type": "message.output",
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "x"}], "signature": "SEALED"},
                    {"type": "text", "text": "TEXT"},
                ],
            }
        ]
    },
}

ANSWERS: dict[str, Any] = {
    "anthropic": {"type": "message", "role": "assistant", "content": REQUESTS["anthropic"]["messages"][0]["content"]},
    "openai_chat": {
        "choices": [{"index": 0, "message": REQUESTS["openai_chat"]["messages"][0], "finish_reason": "stop"}]
    },
    "mistral_chat": {
        "choices": [{"index": 0, "message": REQUESTS["mistral_chat"]["messages"][0], "finish_reason": "stop"}]
    },
    "openai_responses": {
        "id": "resp_1",
        "object": "response",
        "output": [
            {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "SEALED"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "TEXT"}]},
        ],
    },
    "gemini": {"candidates": [{"content": REQUESTS["gemini"]["contents"][0], "continuationToken": "SEALED"}]},
    "gemini_interactions": {"id": "v1_x", "steps": REQUESTS["gemini_interactions"]["input"]},
    "bedrock_converse": {"output": {"message": REQUESTS["bedrock_converse"]["messages"][0]}, "stopReason": "end_turn"},
    "bedrock_invoke": {
        "type": "message",
        "role": "assistant",
        "content": REQUESTS["bedrock_invoke"]["messages"][0]["content"],
    },
    "mistral_conversations": {"conversation_id": "conv_1", "outputs": REQUESTS["mistral_conversations"]["inputs"]},
}


def _filled(document: Any, text: str) -> bytes:
    """A key-shaped run within a signature, and the same as a text."""
    return orjson.dumps(document).replace(b"SEALED", f"EqQB/{TOKEN}/Zm9v==".encode()).replace(b"TEXT", text.encode())


@pytest.mark.parametrize("name", REQUESTS)
def test_a_key_shaped_run_inside_a_signature_goes_up_as_it_is(name: str) -> None:
    """Row 15 (secretgate 11)."""
    outcome = exchange(runtime(REDACT), name).on_request(_filled(REQUESTS[name], TOKEN))
    assert outcome.body == _filled(REQUESTS[name], REDACTED)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_key_shaped_run_inside_a_signature_comes_down_as_it_is(name: str) -> None:
    """Row 15: or the next request would be refused."""
    outcome = exchange(runtime(REDACT), name).on_response(_filled(ANSWERS[name], TOKEN))
    assert outcome.body == _filled(ANSWERS[name], REDACTED)


def _item(kind: str, item: Any) -> Any:
    return {"type": f"response.output_item.{kind}", "output_index": 0, "item": item}


REASONED = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "SEALED"}

EVENTS: dict[str, tuple[str, bytes]] = {
    "openai_responses": (
        "text/event-stream",
        streams.stream(_item("added", REASONED), _item("done", REASONED), named=True),
    ),
    "openai_chat": (
        "text/event-stream",
        streams.stream(
            {
                "choices": [
                    {"index": 0, "delta": {"reasoning_details": [{"type": "reasoning.encrypted", "data": "SEALED"}]}}
                ]
            }
        ),
    ),
    "gemini": (
        "text/event-stream",
        streams.stream({"candidates": [{"content": {"parts": [{"text": "", "thoughtSignature": "SEALED"}]}}]}),
    ),
    "gemini_interactions": (
        "text/event-stream",
        streams.stream(
            {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
            {"event_type": "step.delta", "index": 0, "delta": {"type": "thought_signature", "signature": "SEALED"}},
        ),
    ),
    "anthropic": (
        "text/event-stream",
        streams.stream(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "signature_delta", "signature": "SEALED"},
            },
            named=True,
        ),
    ),
}


@pytest.mark.parametrize("name", EVENTS)
def test_a_key_shaped_run_inside_a_signature_streams_as_it_is(name: str) -> None:
    """Row 15, event by event."""
    kind, stream = EVENTS[name]
    stream = stream.replace(b"SEALED", f"EqQB/{TOKEN}/Zm9v==".encode())
    guard = Streamed(exchange(runtime(REDACT), name), kind)
    assert guard.feed(stream) + guard.finish() == stream


def test_a_key_shaped_run_inside_a_signature_streams_as_it_is_in_frames() -> None:
    """Row 15, in Bedrock's binary frames, their checksums included."""
    deltas: list[Any] = [{"signature": f"EqQB/{TOKEN}/Zm9v=="}, {"redactedContent": TOKEN}]
    events = [{"contentBlockIndex": 0, "delta": {"reasoningContent": delta}} for delta in deltas]
    stream = b"".join(event_frames.event("contentBlockDelta", orjson.dumps(event)) for event in events)
    guard = Streamed(exchange(runtime(REDACT), "bedrock_converse"), "application/vnd.amazon.eventstream")
    assert guard.feed(stream) + guard.finish() == stream


# Responses over a WebSocket

SOCKET = FORMS["openai_responses-previous"]
GUARDED = (
    REDACT
    + """
  - {id: no-mail, at: pre_tool_execution, tools: [send_mail], verdict: deny, reason: it stays}
  - {id: no-plans, at: pre_llm_request, when: "request.messages.exists(m, m.text.contains('secret plan'))",
     verdict: deny, reason: plans stay here}
"""
)


def test_responses_over_websocket_is_inspected() -> None:
    """Row 16 (headroom 79, capsem 61, gh-aw 27710, litellm 36151): texts up and down, in pieces too, and calls."""
    talk = SocketTalk(SOCKET, runtime(GUARDED), True, f"It is {TOKEN}.")
    script = [
        Turn(f"Take {TOKEN} now.", "", [(WEATHER, {"what": f"{TOKEN}"}), (MAIL, {"what": "it"})]),
        Turn(f"Then mail {EMAIL}."),
    ]
    talk.over(f"Use {TOKEN} for {EMAIL}.", script)
    assert TOKEN.encode() not in b"".join([*talk.sent, *talk.answers]) and EMAIL.encode() not in b"".join(talk.sent)
    assert [(call.name, call.arguments) for call in talk.heard] == [(WEATHER, {"what": REDACTED})]
    assert b"denied by rule no-mail" in b"".join(talk.answers)


def test_a_denied_request_over_websocket_is_answered_and_never_goes_up() -> None:
    """Row 16: with the error that stops Codex at once, and the connection goes on."""
    talk = SocketTalk(SOCKET, runtime(GUARDED), True)
    asked = {"type": "response.create", "model": "m", "input": "the secret plan"}
    passed = asyncio.run(talk.socket.up(orjson.dumps(asked)))
    assert not passed.onward
    (told,) = map(orjson.loads, passed.back)
    assert (told["type"], told["status"]) == ("error", 400) and "plans stay here" in told["error"]["message"]
    assert talk.over("Something else.", [Turn("Yes.")]).sent


def test_codex_prewarm_and_incremental_state_work() -> None:
    """Row 17 (CLIProxyAPI 1901, llxprt-code 3134): the first message warms up and answers with nothing; what follows
    brings only what is new, and knows what was replaced before."""
    talk = SocketTalk(SOCKET, runtime(GUARDED), True)
    warm = {
        "type": "response.create",
        "generate": False,
        "model": "gpt-5-codex",
        "instructions": f"Write to {EMAIL}.",
        "input": [{"type": "additional_tools", "tools": [{"type": "custom", "name": "exec"}]}],
        "client_metadata": {"session_id": "11111111-2222-3333-4444-555555555555"},
    }
    talk.up(warm)
    (created, running, completed) = talk.down(talk.provider.events(Turn()))  # type: ignore[attr-defined]
    assert completed["response"]["output"] == [] and created["type"] == "response.created"
    assert EMAIL.encode() not in talk.sent[0] and running["sequence_number"] == 1
    placeholder = orjson.loads(talk.sent[0])["instructions"].removeprefix("Write to ").removesuffix(".")
    talk.client.previous = completed["response"]["id"]  # type: ignore[attr-defined]
    talk.over("Go.", [Turn(f"I write {placeholder}.", "Fine.", [(WEATHER, {"what": placeholder})]), Turn("Done.")])
    assert orjson.loads(talk.sent[1])["previous_response_id"] == completed["response"]["id"]
    assert len(orjson.loads(talk.sent[1])["input"]) == 1
    assert talk.heard[0].arguments == {"what": EMAIL}
    assert any(f"I write {EMAIL}.".encode() in answer for answer in talk.answers)
    assert talk.socket.now.exchange.problems == []


def test_a_message_of_a_socket_that_nothing_changes_passes_byte_for_byte() -> None:
    """Rows 16 and 18."""
    message = b'{"type" : "response.create","input":"h\\u0069","brand_new":[1.50,{"er":null}],"model":"m"}'
    socket = SocketTalk(SOCKET, runtime(REDACT), True).socket
    assert asyncio.run(socket.up(message)).onward == (message,)
    event = b'{"type": "response.brand_new.event", "x" : 1.0e0, "delta": "hello there "}'
    created = b'{"type":"response.created","response":{"id":"resp_1","output":[]}}'
    completed = b'{"type":"response.completed","response":{"id":"resp_1","output":[]}}'
    assert [out for each in (created, event, completed) for out in socket.down(each).onward] == [
        created,
        event,
        completed,
    ]


# unknown fields and beta headers

NEW = b'"brand_new" : {"deep" :[1.50, 1e0,{"er":"text","n":null}], "\\u00fc":"\\u2028"}'
ASKED: dict[str, bytes] = {
    "a2a": (
        b'{"jsonrpc":"2.0","id":1,"method":"message/send","params":{"message":{"role":"user",'
        b'"parts":[{"kind":"text","text":"#"}]~}}~}'
    ),
    "anthropic": (
        b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text",'
        b'"text":"#"~},{"type":"newest"~}]}]~}'
    ),
    "anthropic_complete": b'{"model":"m","prompt":"#"~}',
    "bedrock_agent": b'{"inputText":"#"~}',
    "bedrock_converse": b'{"messages":[{"role":"user","content":[{"text":"#"},{"newest":{^}}]~}]~}',
    "bedrock_invoke": b'{"inputText":"#","textGenerationConfig":{^}~}',
    "cohere_generate": b'{"prompt":"#"~}',
    "cohere_v1": b'{"message":"#","chat_history":[{"role":"USER","message":"hi"~}]~}',
    "cohere_v2": (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"#"~},{"type":"newest"~}]~}]~}'
    ),
    "embeddings": b'{"input":["#"]~}',
    "gemini": b'{"contents":[{"role":"user","parts":[{"text":"#"},{"newest":{^}}]~}]~}',
    "gemini_interactions": (
        b'{"input":[{"type":"user_input","content":[{"type":"text","text":"#"~}]},{"type":"newest"~}]~}'
    ),
    "gemini_live": b'{"clientContent":{"turns":[{"role":"user","parts":[{"text":"#"}]~}],"turnComplete":true}~}',
    "mcp": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"f","arguments":{"a":"#"},"_meta":{^}}~}',
    "mistral_chat": (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"#"},{"type":"newest"~}]~}]~}'
    ),
    "mistral_conversations": (
        b'{"inputs":[{"type":"message.input","role":"user","content":"#"~},{"type":"newest"~}]~}'
    ),
    "mistral_fim": b'{"prompt":"#","suffix":""~}',
    "moderations": b'{"input":"#"~}',
    "ollama": b'{"model":"m","messages":[{"role":"user","content":"#"~}]~}',
    "ollama_generate": b'{"model":"m","prompt":"#"~}',
    "openai_assistants": b'{"assistant_id":"asst_1","additional_messages":[{"role":"user","content":"#"~}]~}',
    "openai_chat": (
        b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"#"~},{"type":"newest"~}]~}]~}'
    ),
    "openai_completions": b'{"model":"m","prompt":"#"~}',
    "openai_realtime": (
        b'{"type":"conversation.item.create","item":{"type":"message","role":"user",'
        b'"content":[{"type":"input_text","text":"#"~}]}~}'
    ),
    "openai_responses": (
        b'{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"#"~}]~},{"type":"newest"~}]~}'
    ),
    "rerank": b'{"query":"#","documents":["x"]~}',
    "text_generation": b'{"inputs":"#","parameters":{^}~}',
    "watsonx": b'{"input":"#","parameters":{^}~}',
}
"""Requests in each format's own spelling. `#` is the text; `~` and `^` are fields that nobody knows, as are kinds of
content and forms of numbers."""


def _asked(name: str, text: str) -> bytes:
    return ASKED[name].replace(b"~", b" , " + NEW).replace(b"^", NEW).replace(b"#", text.encode())


@pytest.mark.parametrize("name", ASKED)
def test_unknown_fields_pass_byte_for_byte(name: str) -> None:
    """Row 18 (agentgateway 1777, 9router 4196, claude-code 59536): alone, and beside an edit."""
    untouched = exchange(runtime(REDACT), name).on_request(_asked(name, "hello"))
    assert (untouched.body, untouched.refusal) == (None, None)
    assert exchange(runtime(REDACT), name).on_request(_asked(name, TOKEN)).body == _asked(name, REDACTED)


PATHS = {
    "openai_responses": "/v1/responses",
    "gemini": "/v1beta/models/gemini-3-pro:generateContent",
    "bedrock_converse": "/model/some.model/converse",
    "cohere_v2": "/v2/chat",
    "ollama": "/api/chat",
}
HEADERS = (
    "anthropic-beta: brand-new-2027-01-01",
    "OpenAI-Beta: responses_websockets=2027-02-06",
    "x-goog-request-params: a=b",
    "X-Amzn-Bedrock-Brand-New: 1",
)


async def test_beta_headers_pass(tmp_path: Path) -> None:
    """Row 18, through the running proxy."""
    async with serving(tmp_path, REDACT, answer(b"{}")) as running:
        for name, path in PATHS.items():
            await ask(running.proxy, path, _asked(name, "hello"), *HEADERS)
            got = running.requests[-1]
            assert got.endswith(_asked(name, "hello"))
            assert all(header.encode() in got for header in HEADERS)
