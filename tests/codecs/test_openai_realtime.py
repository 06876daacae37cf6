"""OpenAI Realtime: every event and item of wire-formats §2.4, in GA's, the beta's and xAI's shapes; calls cut out."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Key, Request
from proxy.codecs.framings.messages import Messages
from proxy.codecs.openai_realtime import CODEC
from proxy.codecs.splicing import splice
from proxy.events import Usage
from proxy.guard import Guard
from tests.codecs.documents import ANY_JSON, calls, cut, edited, misplaced, places, put, readings, texts, unread, unsaid
from tests.judging import REDACT, exchange

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "tells it",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "where"}}},
}
SESSION = {
    "type": "session.update",
    "event_id": "e1",
    "session": {
        "type": "realtime",
        "model": "gpt-realtime",
        "instructions": "be brief",
        "max_output_tokens": 200,
        "tools": [
            TOOL,
            {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example", "authorization": "tok"},
        ],
        "audio": {"input": {"transcription": {"model": "whisper-1", "prompt": "names: Ada"}}},
        "prompt": {"id": "p", "variables": {"who": {"type": "input_text", "text": "Ada"}}},
    },
}


def item(**members: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": members}


CLIENT: list[dict[str, Any]] = [
    SESSION,
    item(type="message", role="user", content=[{"type": "input_text", "text": "hi"}]),
    item(type="message", role="system", content=[{"type": "input_text", "text": "rules"}]),
    item(type="message", role="assistant", content=[{"type": "output_text", "text": "earlier"}]),
    item(type="message", role="user", content=[{"type": "input_audio", "audio": "AAAA", "transcript": "spoken"}]),
    item(type="message", role="user", content=[{"type": "input_image", "image_url": "data:image/png;base64,AA"}]),
    item(type="function_call_output", call_id="c1", output="foggy"),
    item(type="function_call", call_id="c1", name="get_weather", arguments='{"city": "London"}'),
    item(type="mcp_approval_response", id="i", approval_request_id="r", approve=False, reason="too risky"),
    item(type="brand_new", body={"deep": "text"}),
    {"type": "response.create", "response": {"instructions": "now", "metadata": {"mail": "a@b.example"}}},
    {"type": "input_audio_buffer.append", "audio": "AAAA"},
    {"type": "input_audio_buffer.commit"},
    {"type": "response.cancel", "response_id": "r"},
    {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 10},
    {"type": "conversation.item.retrieve", "item_id": "i"},
    {"type": "conversation.item.delete", "item_id": "i"},
    {"type": "transcription_session.update", "session": {"input_audio_transcription": {"prompt": "names"}}},
    {"type": "session.avatar.connect", "client_sdp": "v=0"},
]


def parts(request: Request) -> dict[str, tuple[str, str, bool]]:
    return {part.text: (part.role, part.kind, part.sealed) for part in request.parts}


@pytest.mark.parametrize("document", CLIENT, ids=lambda document: str(document["type"]))
def test_every_client_message_is_read_whole(document: Any) -> None:
    request = CODEC.read_request(document)
    assert unread(document, request) == []
    assert misplaced(document, [(part.path, part.text) for part in request.parts]) == []


def test_a_session_says_instructions_and_tools() -> None:
    request = CODEC.read_request(SESSION)
    assert (request.model, request.max_output, list(request.tools)) == ("gpt-realtime", 200, ["get_weather"])
    said = parts(request)
    assert said["be brief"] == ("system", "text", False)
    assert said["tells it"] == ("system", "tool_definition", False)
    assert said["Ada"] == ("other", "text", False)


def test_a_message_has_its_role_and_its_sound_is_sealed() -> None:
    assert parts(CODEC.read_request(CLIENT[1])) == {"hi": ("user", "text", False)}
    assert parts(CODEC.read_request(CLIENT[4])) == {"AAAA": ("user", "media", True), "spoken": ("user", "text", False)}
    assert parts(CODEC.read_request(CLIENT[11])) == {"AAAA": ("user", "media", True)}


def test_a_result_and_a_call_of_the_history() -> None:
    (result,) = CODEC.read_request(CLIENT[6]).results
    assert (result.call_id, result.content, result.new) == ("c1", ("item", "output"), True)
    assert CODEC.read_request(CLIENT[7]).calls == {"c1": ("get_weather", {"city": "London"})}


def test_an_input_given_whole_tells_what_is_new() -> None:
    items = [CLIENT[1]["item"], CLIENT[7]["item"], CLIENT[6]["item"], CLIENT[3]["item"], CLIENT[1]["item"]]
    request = CODEC.read_request({"type": "response.create", "response": {"input": items}})
    assert [(result.name, result.new) for result in request.results] == [("get_weather", False)]
    assert [part.new for part in request.parts if part.text == "hi"] == [False, True]
    assert request.turn == 2


def test_only_response_create_begins_an_answer() -> None:
    assert [document["type"] for document in CLIENT if CODEC.begins(document)] == ["response.create"]


def test_texts_are_put_into_a_users_message_and_a_given_input_only() -> None:
    added = orjson.loads(splice(orjson.dumps(CLIENT[1]), CODEC.inject(CLIENT[1], "note")))
    assert added["item"]["content"][1:] == [{"type": "input_text", "text": "note"}]
    document = {"type": "response.create", "response": {"input": []}}
    added = orjson.loads(splice(orjson.dumps(document), CODEC.inject(document, "note")))
    assert added["response"]["input"][0]["content"] == [{"type": "input_text", "text": "note"}]
    for other in (CLIENT[2], CLIENT[10], {}):
        with pytest.raises(ValueError, match="kept by the server"):
            CODEC.inject(other, "note")


def test_a_denied_result_stays_a_string() -> None:
    request = CODEC.read_request(CLIENT[6])
    changed = orjson.loads(splice(orjson.dumps(CLIENT[6]), CODEC.deny_result(CLIENT[6], request.results[0], "NO")))
    assert changed["item"]["output"] == "NO"


# what the server says

IDS = {"response_id": "r1", "item_id": "i1", "output_index": 0, "content_index": 0}


def event(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "event_id": f"event_{kind}", **members}


def spoken(prefix: str, member: str, word: str = "Hello there!", part: str = "output_text") -> list[dict[str, Any]]:
    """An answer in text or in sound, told as often as a server tells it."""
    begun = {"id": "i1", "object": "realtime.item", "type": "message", "status": "in_progress", "role": "assistant"}
    done = begun | {"status": "completed", "content": [{"type": part, member: word}]}
    added = "conversation.item.added" if "output" in prefix else "conversation.item.created"
    return [
        event("response.created", response={"id": "r1", "status": "in_progress", "output": [], "metadata": None}),
        event("response.output_item.added", response_id="r1", output_index=0, item=begun | {"content": []}),
        event(added, previous_item_id=None, item=begun | {"content": []}),
        event("response.content_part.added", **IDS, part={"type": "text", member: ""}),
        event(f"{prefix}.delta", **IDS, delta=word[:6], obfuscation="xyz"),
        event(f"{prefix}.delta", **IDS, delta=word[6:], obfuscation="xyz"),
        event(f"{prefix}.done", **IDS, **{member: word}),
        event("response.content_part.done", **IDS, part={"type": "text", member: word}),
        event("conversation.item.done", previous_item_id=None, item=done),
        event("response.output_item.done", response_id="r1", output_index=0, item=done),
        event(
            "response.done",
            response={
                "id": "r1",
                "status": "completed",
                "output": [done],
                "usage": {"input_tokens": 9, "output_tokens": 4, "input_token_details": {"cached_tokens": 3}},
            },
        ),
    ]


TELLINGS = [
    ("response.output_text", "text"),
    ("response.text", "text"),
    ("response.output_audio_transcript", "transcript"),
    ("response.audio_transcript", "transcript"),
]


@pytest.mark.parametrize(("prefix", "member"), TELLINGS)
def test_a_text_is_one_however_often_it_is_told(prefix: str, member: str) -> None:
    documents = spoken(prefix, member)
    channel = ("text", "i1", "content", 0, member)
    said = texts(CODEC, documents)
    assert said.pop(channel) == "Hello there!"
    assert set(said.values()) <= {"in_progress", "completed"}
    read = readings(CODEC, documents)
    repeats = [fragment for reading in read for fragment in reading.repeats]
    assert {(fragment.channel, fragment.text) for fragment in repeats} == {(channel, "Hello there!")}
    assert len(repeats) == 5
    assert channel in read[6].closes  # at `.done`, not at the end of the answer
    assert (read[-2].stop_reason, read[-2].usage) == ("completed", Usage(input=9, output=4, cache_read=3))
    for document, reading in zip(documents, read[:-1], strict=True):
        assert unsaid(document, reading) == []


@pytest.mark.parametrize(("prefix", "member"), TELLINGS)
def test_an_edit_is_made_in_every_copy(prefix: str, member: str) -> None:
    out = edited(CODEC, spoken(prefix, member, "It is Ada"), "Ada", "***")
    assert b"Ada" not in orjson.dumps(out)
    assert orjson.dumps(out).count(b"***") == 6


def test_an_answer_told_only_at_its_end_is_a_text_once() -> None:
    documents = spoken("response.output_text", "text")[8:]
    assert list(texts(CODEC, documents).values()).count("Hello there!") == 1
    assert sum(len(reading.repeats) for reading in readings(CODEC, documents)) == 2


def test_answers_follow_one_another_on_one_connection() -> None:
    second = orjson.loads(orjson.dumps(spoken("response.output_text", "text")).replace(b'"i1"', b'"i2"'))
    said = texts(CODEC, [*spoken("response.output_text", "text"), *second])
    assert [channel[1] for channel, text in said.items() if text == "Hello there!"] == ["i1", "i2"]


def test_the_short_way_says_what_the_long_way_says() -> None:
    documents = spoken("response.output_text", "text")
    odd = [document | {"rid": "x"} if document["type"].endswith(".delta") else document for document in documents]
    assert {c: t for c, t in texts(CODEC, odd).items() if c[1] != "once"} == {
        c: t for c, t in texts(CODEC, documents).items() if c[1] != "once"
    }


CALL = {"id": "i2", "object": "realtime.item", "type": "function_call", "name": "get_weather", "call_id": "c1"}
CALL_IDS = {"response_id": "r1", "item_id": "i2", "output_index": 1, "call_id": "c1"}
CHANNEL = ("tool_call", "i2")


def calling(added: str = "conversation.item.added", arguments: str = '{"city":"London"}') -> list[dict[str, Any]]:
    begun = CALL | {"status": "in_progress", "arguments": ""}
    done = CALL | {"status": "completed", "arguments": arguments}
    return [
        event("response.output_item.added", response_id="r1", output_index=1, item=begun),
        event(added, previous_item_id="i1", item=begun),
        event("response.function_call_arguments.delta", **CALL_IDS, delta=arguments[:4]),
        event("response.function_call_arguments.delta", **CALL_IDS, delta=arguments[4:]),
        event("response.function_call_arguments.done", **CALL_IDS, name="get_weather", arguments=arguments),
        event("conversation.item.done", previous_item_id="i1", item=done),
        event("response.output_item.done", response_id="r1", output_index=1, item=done),
        event("response.done", response={"id": "r1", "status": "completed", "output": [done]}),
    ]


def test_a_call_is_one_however_often_it_is_told() -> None:
    documents = calling()
    assert calls(CODEC, documents) == [("c1", "get_weather", False)]
    assert texts(CODEC, documents)[CHANNEL] == '{"city":"London"}'
    read = readings(CODEC, documents)
    assert CHANNEL in read[4].closes
    assert [fragment.channel for reading in read for fragment in reading.repeats] == [CHANNEL] * 4
    assert list(read[7].calls) == [CHANNEL]
    assert [[path for path, _ in reading.entries] for reading in read[:-1]] == [
        [("item",)],
        [("item",)],
        [()],
        [()],
        [()],
        [("item",)],
        [("item",)],
        [("response", "output", 0)],
    ]


def test_a_call_as_xai_tells_it() -> None:
    """No `output_index` in deltas, 0 for every item, a role on calls."""
    documents = calling()
    for document in documents:
        document["output_index"] = 0
        document.get("item", {})["role"] = "user"
    del documents[2]["output_index"], documents[3]["output_index"]
    assert calls(CODEC, documents) == [("c1", "get_weather", False)]


def test_a_call_told_only_whole() -> None:
    for documents in (calling()[6:], calling()[7:], calling()[4:]):
        assert calls(CODEC, documents) == [("c1", "get_weather", False)]
        assert texts(CODEC, documents)[CHANNEL] == '{"city":"London"}'


def test_a_call_without_arguments_is_complete_with_its_item() -> None:
    done = CALL | {"status": "completed", "arguments": ""}
    documents = [event("response.output_item.done", response_id="r1", output_index=1, item=done)]
    assert calls(CODEC, documents) == [("c1", "get_weather", False)]
    assert CHANNEL in readings(CODEC, documents)[0].closes


def test_a_call_of_the_clients_own_history_is_none_of_the_models() -> None:
    echo = [event("conversation.item.added", item=CALL | {"status": "completed", "arguments": '{"a":1}'})]
    assert calls(CODEC, echo) == []
    assert '{"a":1}' in texts(CODEC, echo).values()


def client_view(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Items as a client assembles them: from the pieces, from each whole item, and from the finished answer."""
    pieces: dict[str, Any] = {}
    whole: dict[str, Any] = {}
    final: list[Any] = []
    for document in documents:
        kind = document["type"]
        if kind == "response.output_item.added":
            pieces[document["item"]["id"]] = {"type": document["item"]["type"], "text": "", "arguments": ""}
        elif kind in ("response.output_text.delta", "response.text.delta"):
            pieces[document["item_id"]]["text"] += document["delta"]
        elif kind == "response.function_call_arguments.delta":
            pieces[document["item_id"]]["arguments"] += document["delta"]
        elif kind in ("conversation.item.done", "response.output_item.done"):
            whole[kind] = document["item"]
        elif kind == "response.done":
            final = document["response"]["output"]
    return {"pieces": pieces, "whole": whole, "final": final}


@pytest.mark.parametrize(
    ("added", "part"), [("conversation.item.added", "output_text"), ("conversation.item.created", "text")]
)
def test_a_cut_call_is_a_message_in_all_its_copies(added: str, part: str) -> None:
    view = client_view(cut(CODEC, calling(added), {CHANNEL: "NO"}))
    message = {
        "id": "i2",
        "object": "realtime.item",
        "status": "completed",
        "type": "message",
        "role": "assistant",
        "content": [{"type": part, "text": "NO"}],
    }
    assert view["pieces"] == {"i2": {"type": "message", "text": "NO", "arguments": ""}}
    assert list(view["whole"].values()) == [message, message]
    assert view["final"] == [message]


def test_a_cut_call_tells_its_text_in_order() -> None:
    out = cut(CODEC, calling(), {CHANNEL: "NO"})
    assert [document["type"].removeprefix("response.") for document in out] == [
        "output_item.added",
        "conversation.item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "conversation.item.done",
        "output_item.done",
        "done",
    ]
    assert len({document["event_id"] for document in out}) == len(out)


def test_calls_that_stay_stay_as_they_are() -> None:
    both = orjson.loads(orjson.dumps(calling()).replace(b'"i2"', b'"i3"').replace(b'"c1"', b'"c2"'))
    out = cut(CODEC, [*calling(), *both], {CHANNEL: "NO"})
    assert [document for document in out if b'"i3"' in orjson.dumps(document)] == [
        document for document in both if b'"i3"' in orjson.dumps(document)
    ]
    assert cut(CODEC, calling(), {}) == calling()


def test_calls_of_mcp_servers_are_told_and_not_cut() -> None:
    mcp = {
        "id": "m1",
        "type": "mcp_call",
        "name": "search",
        "server_label": "docs",
        "arguments": "{}",
        "output": "found",
    }
    documents = [
        event(
            "response.output_item.added", response_id="r", output_index=0, item=mcp | {"arguments": "", "output": None}
        ),
        event("response.mcp_call_arguments.delta", response_id="r", item_id="m1", output_index=0, delta="{}"),
        event("response.mcp_call_arguments.done", response_id="r", item_id="m1", output_index=0, arguments="{}"),
        event("response.mcp_call.in_progress", item_id="m1", output_index=0),
        event("response.mcp_call.completed", item_id="m1", output_index=0),
        event("response.output_item.done", response_id="r", output_index=0, item=mcp),
    ]
    assert calls(CODEC, documents) == [("m1", "search", True)]
    opened = [item for reading in readings(CODEC, documents) for item in reading.opens]
    assert {item.server for item in opened} == {"docs"}
    assert ("tool_result", "m1", "output") in texts(CODEC, documents)


SERVER: list[dict[str, Any]] = [
    event("session.created", session={"model": "gpt-realtime", "instructions": "be brief", "tools": [TOOL]}),
    event("session.updated", session={"model": "gpt-realtime", "instructions": "be brief"}),
    event("transcription_session.updated", session={"input_audio_transcription": {"prompt": "names"}}),
    event("conversation.created", conversation={"id": "conv", "object": "realtime.conversation"}),
    event(
        "conversation.item.retrieved", item={"id": "i", "type": "message", "role": "user", "content": [{"text": "t"}]}
    ),
    event("conversation.item.deleted", item_id="i"),
    event("conversation.item.truncated", item_id="i", content_index=0, audio_end_ms=1),
    event("conversation.item.input_audio_transcription.segment", item_id="i", content_index=0, text="seg", speaker="A"),
    event("conversation.item.input_audio_transcription.updated", item_id="i", content_index=0, transcript="so far"),
    event("conversation.item.input_audio_transcription.failed", item_id="i", content_index=0, error={"message": "bad"}),
    event("conversation.item.added", item={"id": "x", "type": "mcp_list_tools", "server_label": "s", "tools": [TOOL]}),
    event("conversation.item.added", item={"id": "y", "type": "mcp_approval_request", "name": "n", "arguments": "{}"}),
    event("conversation.item.added", item={"id": "z", "type": "brand_new", "body": {"deep": "text"}}),
    event("input_audio_buffer.committed", previous_item_id=None, item_id="i"),
    event("input_audio_buffer.speech_started", audio_start_ms=1, item_id="i"),
    event("input_audio_buffer.speech_stopped", audio_end_ms=1, item_id="i"),
    event("input_audio_buffer.timeout_triggered", audio_start_ms=0, audio_end_ms=1, item_id="i"),
    event("input_audio_buffer.dtmf_event_received", event="5", received_at=1),
    event("input_audio_buffer.cleared"),
    event("output_audio_buffer.started", response_id="r"),
    event("mcp_list_tools.in_progress", item_id="x"),
    event("mcp_list_tools.completed", item_id="x"),
    event("mcp_list_tools.failed", item_id="x"),
    event("response.mcp_call.failed", item_id="m", output_index=0),
    event("rate_limits.updated", rate_limits=[{"name": "tokens", "limit": 5}]),
    event("error", error={"type": "server_error", "message": "boom", "param": None, "event_id": "e1"}),
    event("session.input_transcript.delta", delta="Guten Tag", elapsed_ms=200),
    event("session.output_transcript.delta", delta="Good day", elapsed_ms=200),
    event("session.closed"),
    event("ping", timestamp=1),
    event("response.animation_viseme.delta", **IDS, viseme_id=1),
    event("response.output_item.done", response_id="r", output_index=0, item={"type": "message", "content": "plain"}),
    event("response.brand_new.delta", **IDS, delta="something"),
    event("response.brand_new.delta", **IDS, delta={"deep": "text"}),
]


@pytest.mark.parametrize("document", SERVER, ids=lambda document: str(document["type"]))
def test_every_server_message_is_read_whole(document: Any) -> None:
    reading, _ = readings(CODEC, [document])
    assert [path for path in unsaid(document, reading) if path[-1] != "name"] == []
    assert misplaced(document, [(fragment.path, fragment.text) for fragment in reading.fragments]) == []


def test_the_session_names_the_model() -> None:
    assert readings(CODEC, SERVER)[0].model == "gpt-realtime"


@pytest.mark.parametrize("kind", ["response.output_audio.delta", "response.audio.delta", "session.output_audio.delta"])
def test_sound_is_sealed(kind: str) -> None:
    reading, _ = readings(CODEC, [event(kind, **IDS, delta="AAAA")])
    assert list(reading.sealed) == [fragment.channel for fragment in reading.fragments]
    assert reading.fragments[0].channel[0] == "media"


def test_what_was_heard_grows_and_is_told_again() -> None:
    heard = "conversation.item.input_audio_transcription"
    documents = [
        event(f"{heard}.delta", item_id="u", content_index=0, delta="my name "),
        event(f"{heard}.delta", item_id="u", content_index=0, delta="is Ada"),
        event(f"{heard}.completed", item_id="u", content_index=0, transcript="my name is Ada"),
    ]
    assert texts(CODEC, documents) == {("text", "u", "content", 0, "transcript"): "my name is Ada"}
    assert b"Ada" not in orjson.dumps(edited(CODEC, documents, "Ada", "***"))


def test_the_times_of_words_go_with_an_edited_transcript() -> None:
    timed = event("response.audio_timestamp.delta", **IDS, text="there!", audio_offset_ms=1)
    documents = [*spoken("response.audio_transcript", "transcript")[:6], timed]
    assert timed in edited(CODEC, documents, "nothing", "***")
    assert timed not in edited(CODEC, documents, "Hello", "***")


@pytest.mark.parametrize("document", [*CLIENT, *SERVER, *calling(), None, [], "x", 1], ids=str)
@given(value=ANY_JSON, where=st.integers(0, 1000))
def test_any_value_in_any_place_is_read(document: Any, value: Any, where: int) -> None:
    every = places(document)
    odd = put(document, every[where % len(every)], value)
    request = CODEC.read_request(odd)
    assert unread(odd, request) == []
    assert misplaced(odd, [(part.path, part.text) for part in request.parts]) == []
    reading, _ = readings(CODEC, [odd])
    assert [path for path in unsaid(odd, reading) if path[-1] != "name"] == []
    assert misplaced(odd, [(f.path, f.text) for f in [*reading.fragments, *reading.repeats]]) == []
    cut(CODEC, [odd], {channel: "NO" for _, channel in reading.entries})


# through the guard


def test_what_takes_the_place_of_a_message_is_one_message_each() -> None:
    deny = "version: 1\nrules: [{id: calls, at: pre_tool_execution, verdict: deny}]"
    guard = Guard(exchange(deny, "openai_realtime"), Messages())
    out = [piece for raw in map(orjson.dumps, calling()) for piece in guard.pump(Messages().feed(raw))]
    assert [orjson.loads(message)["type"] for message in out] == [
        document["type"] for document in cut(CODEC, calling(), {CHANNEL: "NO"})
    ]


def test_a_secret_is_taken_out_of_every_copy() -> None:
    secret = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
    guard = Guard(exchange(REDACT, "openai_realtime"), Messages())
    documents = spoken("response.output_audio_transcript", "transcript", f"It is {secret}.")
    out = [piece for raw in map(orjson.dumps, documents) for piece in guard.pump(Messages().feed(raw))]
    assert len(out) == len(documents)
    assert b"ghp_" not in b"".join(out)
    final = orjson.loads(out[-1])["response"]["output"][0]["content"][0]["transcript"]
    assert orjson.loads(out[6])["transcript"] == final


# HTTP and midstream's own words


def test_a_clients_secret_stays_as_it_is() -> None:
    document = {"value": "ek_1", "expires_at": 1, "session": {"instructions": "be brief"}}
    response = CODEC.read_response(document)
    assert unread(document, response) == []
    assert {part.text: part.sealed for part in response.parts} == {"ek_1": True, "be brief": False}
    older = CODEC.read_response({"client_secret": {"value": "ek_1"}, "instructions": "be brief"})
    assert {part.text: part.sealed for part in older.parts} == {"ek_1": True, "be brief": False}


@given(ANY_JSON)
def test_any_answer_over_http_is_read(document: Any) -> None:
    assert unread(document, CODEC.read_response(document)) == []


def test_a_refusal_over_the_socket_is_an_error_event() -> None:
    assert CODEC.socket_refusal is not None
    (said,) = CODEC.socket_refusal(403, "no")
    document = orjson.loads(said)
    assert (document["type"], document["error"]["message"]) == ("error", "no")


def test_an_answer_of_our_own_is_read_as_one() -> None:
    documents = [orjson.loads(event.data) for event in CODEC.message_stream("m", "denied")]
    assert client_view(documents)["pieces"] == {
        "item_midstream": {"type": "message", "text": "denied", "arguments": ""}
    }
    assert texts(CODEC, documents)["text", "item_midstream", "content", 0, "text"] == "denied"


def test_ten_thousand_calls_at_once() -> None:
    one = orjson.dumps(calling()[:5]).decode()
    documents = [document for n in range(10_000) for document in orjson.loads(one.replace('"i2"', f'"i{n}"'))]
    assert len(calls(CODEC, documents)) == 10_000


def test_names_of_members_are_texts() -> None:
    request = CODEC.read_request({"type": "response.create", "response": {"metadata": {"sk-live-1": "v"}}})
    assert ("response", "metadata", Key("sk-live-1")) in [part.path for part in request.parts]
