"""The guard of a stream: identical when untouched, alike for every cut, nothing leaked, everything restored."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.effects.pseudonymise import Pseudonyms
from proxy.stream_judge import StreamRefusedError
from proxy.streamed import Streamed
from tests.judging import KEY, REDACT, Recorded, exchange, guarded
from tests.wire import Answer, Call, anthropic_answer, anthropic_stream, openai_answer, openai_stream

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
MAIL = "ann.lee@" + "corp-mail.net"

FORMATS = {"openai_chat": (openai_stream, openai_answer), "anthropic": (anthropic_stream, anthropic_answer)}
each_format = pytest.mark.parametrize("codec", FORMATS)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(marks)]


def pieces_of(text: str, places: Sequence[int]) -> list[str]:
    marks = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(marks)]


words = st.lists(
    st.one_of(
        st.text(max_size=12),
        st.sampled_from([SECRET, MAIL, "password = hunter2swordfish9", "\n", " ", "4111 1111 1111 1111", "-----BEGIN"]),
    ),
    max_size=12,
).map(" ".join)
places = st.lists(st.integers(0, 10_000), max_size=12)


@each_format
@given(text=words, deltas=places, chunks=places, escaped=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_cut_gives_the_same_bytes(
    codec: str, text: str, deltas: list[int], chunks: list[int], escaped: bool
) -> None:
    stream = FORMATS[codec][0](
        pieces_of(text, deltas), [Call("write", pieces_of(json.dumps({"t": text}), deltas))], escaped
    )
    whole = guarded(REDACT, codec, [stream])
    assert guarded(REDACT, codec, cut(stream, chunks)) == whole
    assert guarded(REDACT, codec, [bytes([byte]) for byte in stream]) == whole


@each_format
@given(text=words, one=places, other=places)
@settings(max_examples=60, deadline=None)
def test_any_split_into_deltas_gives_the_same_text(codec: str, text: str, one: list[int], other: list[int]) -> None:
    make, read = FORMATS[codec]
    arguments = json.dumps({"t": text})
    first, second = (
        read(guarded(REDACT, codec, [make(pieces_of(text, at), [Call("write", pieces_of(arguments, at))])]))
        for at in (one, other)
    )
    assert first == second


@each_format
@given(text=words, deltas=places, chunks=places)
@settings(max_examples=60, deadline=None)
def test_without_rules_every_byte_is_identical(codec: str, text: str, deltas: list[int], chunks: list[int]) -> None:
    stream = FORMATS[codec][0](pieces_of(text, deltas), [Call("write", pieces_of(json.dumps({"t": text}), deltas))])
    assert guarded("version: 1\n", codec, cut(stream, chunks)) == stream


@each_format
@given(data=st.binary(max_size=200), chunks=places)
@settings(deadline=None)
def test_what_is_no_stream_at_all_is_identical_too(codec: str, data: bytes, chunks: list[int]) -> None:
    assert guarded("version: 1\n", codec, cut(data, chunks)) == data


@each_format
def test_a_secret_split_at_every_place_never_leaves(codec: str) -> None:
    make, read = FORMATS[codec]
    text = f"Use {SECRET} here."
    for at in range(len(text) + 1):
        stream = make(
            [text[:at], text[at:]], [Call("send", [json.dumps({"a": text})[:at], json.dumps({"a": text})[at:]])]
        )
        out = guarded(REDACT, codec, [stream])
        answer = read(out)
        assert answer.text == "Use [REDACTED:github_token] here."
        assert json.loads(answer.calls[0][1]) == {"a": "Use [REDACTED:github_token] here."}


@each_format
def test_only_the_events_that_carry_the_secret_change(codec: str) -> None:
    make, _ = FORMATS[codec]
    stream = make(["Well, ", "the key ", SECRET[:9], SECRET[9:], " is old.", " Bye."])
    out = guarded(REDACT, codec, [stream])
    changed = [(old, new) for old, new in zip(stream.split(b"\n"), out.split(b"\n"), strict=True) if old != new]
    assert len(changed) == 2
    assert b"[REDACTED:github_token]" in changed[0][1]


@each_format
def test_text_flows_before_the_stream_ends(codec: str) -> None:
    stream = FORMATS[codec][0](["Hello ", "there, ", "friend "])
    guard = Streamed(exchange(REDACT, codec))
    early = guard.feed(stream[: stream.index(b"\n\n", stream.index(b"friend")) + 2])
    assert b"Hello" in early and b"there" in early


@each_format
@pytest.mark.parametrize(
    "mangle", [str, str.upper, lambda text: text.strip("⟪⟫"), lambda text: text.replace("_", "\\_")]
)
def test_a_pseudonym_is_restored_wherever_it_is_split(codec: str, mangle: Callable[[str], str]) -> None:
    make, read = FORMATS[codec]
    request = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": f"mail {MAIL} now"}]})
    placeholder = mangle(Pseudonyms(KEY).placeholder("email", MAIL))
    text = f"Mail to {placeholder}, done."
    arguments = json.dumps({"to": placeholder}, ensure_ascii=False)
    for at in range(0, len(text) + 1, 3):
        stream = make([text[:at], text[at:]], [Call("mail", [arguments[:at], arguments[at:]])])
        answer = read(guarded(REDACT, codec, [stream], request.encode()))
        assert answer.text == f"Mail to {MAIL}, done."
        assert json.loads(answer.calls[0][1]) == {"to": MAIL}


DENY = (
    REDACT
    + """
  - {id: no-dotenv, at: pre_tool_execution, tools: [read_file], verdict: deny, reason: credential files stay here}
"""
)


@each_format
def test_a_denied_call_is_cut_out_and_a_notice_says_so(codec: str) -> None:
    make, read = FORMATS[codec]
    stream = make(["I will look. "], [Call("read_file", ['{"path":', '".env"}']), Call("ls", ["{}"])])
    answer = read(guarded(DENY, codec, [stream]))
    assert answer.text.startswith("I will look. ")
    assert "denied by rule no-dotenv: credential files stay here" in answer.text
    assert answer.calls == [("ls", "{}")]
    assert answer.stop in ("tool_calls", "tool_use")


@each_format
def test_when_no_call_is_left_the_turn_ends(codec: str) -> None:
    make, read = FORMATS[codec]
    answer = read(guarded(DENY, codec, [make([], [Call("read_file", ['{"path":".env"}'])])]))
    assert answer == Answer(answer.text, [], "stop" if codec == "openai_chat" else "end_turn")
    assert "no-dotenv" in answer.text


@each_format
@given(chunks=places)
@settings(max_examples=40, deadline=None)
def test_nothing_of_a_denied_call_leaves_for_any_cut(codec: str, chunks: list[int]) -> None:
    stream = FORMATS[codec][0](["Look: "], [Call("ls", ['{"a":1}']), Call("read_file", ['{"path":', '"/x/.env"}'])])
    out = guarded(DENY, codec, cut(stream, chunks))
    assert b".env" not in out
    assert out == guarded(DENY, codec, [stream])


HOLD = """
version: 1
rules:
  - {id: no-keys-at-all, at: post_llm_response, find: [secret], verdict: deny, reason: keys are not for agents}
"""


@each_format
def test_before_a_denial_nothing_of_the_answer_leaves(codec: str) -> None:
    make, read = FORMATS[codec]
    stream = make(["Before the secret. ", SECRET, " after"])
    one = exchange(HOLD, codec)
    guard = Streamed(one)
    assert guard.feed(stream) == b""
    out = guard.finish()
    assert b"Before" not in out
    assert "keys are not for agents" in read(out).text


@each_format
def test_a_held_answer_that_is_permitted_is_identical(codec: str) -> None:
    stream = FORMATS[codec][0](["All ", "is well."], [Call("ls", ["{}"])])
    assert guarded(HOLD, codec, cut(stream, [10, 50, 200])) == stream


def test_a_held_answer_keeps_its_client_alive() -> None:
    now = [0.0]
    guard = Streamed(exchange(HOLD, "openai_chat"), clock=lambda: now[0])
    stream = openai_stream(["a "] * 5)
    assert guard.feed(stream[:400]) == b""
    now[0] = 11.0
    assert guard.feed(stream[400:450]).startswith(b":")


def test_more_than_the_cap_is_never_held() -> None:
    guard = Streamed(exchange("version: 1\nlimits: {held: 1KB}\n" + HOLD.replace("version: 1", ""), "openai_chat"))
    with pytest.raises(StreamRefusedError, match="held"):
        for _ in range(100):
            guard.feed(openai_stream(["x "]))


def test_an_event_that_is_no_json_is_scanned_or_refused() -> None:
    stream = f"data: not json {SECRET} at all\n\ndata: [DONE]\n\n".encode()
    assert guarded(REDACT, "openai_chat", [stream]) == stream.replace(SECRET.encode(), b"[REDACTED:github_token]")
    with pytest.raises(StreamRefusedError):
        guarded("unrecognised: deny\n" + REDACT, "openai_chat", [stream])


@each_format
def test_a_json_body_in_a_stream_s_place_is_decided_whole(codec: str) -> None:
    body = json.dumps({"error": {"type": "x", "message": f"bad key {SECRET}"}}).encode()
    assert SECRET.encode() not in guarded(REDACT, codec, cut(body, [5, 30]))


@each_format
def test_a_truncated_stream_gives_nothing_undecided(codec: str) -> None:
    stream = FORMATS[codec][0]([f"key {SECRET}"], [Call("send", [json.dumps({"k": SECRET})])])
    for end in range(0, len(stream), 7):
        assert SECRET.encode() not in guarded(REDACT, codec, [stream[:end]])


@each_format
def test_findings_are_recorded_once_and_by_place(codec: str) -> None:
    record = Recorded()
    guard = Streamed(exchange(REDACT, codec, record))
    for byte in FORMATS[codec][0](["one ", SECRET, " two"]):
        guard.feed(bytes([byte]))
    guard.finish()
    [(event, _)] = record
    [found] = event.findings
    assert (found.cls, found.kind, found.start, found.end) == ("secret", "github_token", 4, 44)
    assert SECRET not in event.model_dump_json()


def test_a_call_whose_arguments_come_whole_is_decided_like_any_other() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": ["/x/.env"]}}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    events = [start, {"type": "content_block_stop", "index": 0}]
    stream = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
    by_argument = """
version: 1
rules:
  - id: no-dotenv
    at: pre_tool_execution
    when: tool.arguments.path.exists(p, p.endsWith('.env'))
    verdict: deny
"""
    for policy in (by_argument, DENY):
        out = guarded(policy, "anthropic", [stream])
        assert b".env" not in out and b"no-dotenv" in out


def test_strings_of_arguments_that_come_whole_are_edited_for_their_own_call() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "send", "input": {"text": f"key {SECRET}"}}
    event = {"type": "content_block_start", "index": 0, "content_block": block}
    stream = f"event: content_block_start\ndata: {json.dumps(event)}\n\n".encode()
    policy = """
version: 1
rules:
  - {id: sends, at: pre_tool_execution, tools: [send], find: [secret], verdict: modify, edit: mask}
"""
    assert guarded(policy, "anthropic", [stream]) == stream.replace(SECRET.encode(), b"****8B4a")


@pytest.mark.parametrize(
    "arguments", ['{"path":".env","x":NaN}', '{"path":"a","path":".env"}', '{"path":".env","x":"\\ud800"}']
)
def test_arguments_that_only_lenient_clients_read_are_decided_as_these_do(arguments: str) -> None:
    policy = """
version: 1
rules:
  - {id: no-dotenv, at: pre_tool_execution, when: "tool.arguments.path == '.env'", verdict: deny}
"""
    stream = openai_stream([], [Call("read_file", [arguments])])
    assert "no-dotenv" in openai_answer(guarded(policy, "openai_chat", [stream])).text


@pytest.mark.parametrize("asked", [True, False])
def test_token_counts_the_client_did_not_ask_for_are_read_and_kept_back(asked: bool) -> None:
    one = exchange("version: 1\n", "openai_chat", asks_usage=True)
    options = {"stream_options": {"include_usage": True}} if asked else {}
    one.on_request(json.dumps({"model": "m", "stream": True, "messages": [], **options}).encode())
    guard = Streamed(one)
    stream = openai_stream(["a ", "b"])
    out = guard.feed(stream) + guard.finish()
    assert (out == stream) == asked
    assert (b'"choices": []' in out) == asked
    assert one.judge.tally.usage is not None and one.judge.tally.usage.input == 11


@each_format
def test_a_denial_of_the_answer_counts_what_stands_in_its_calls(codec: str) -> None:
    make, read = FORMATS[codec]
    out = guarded(HOLD, codec, [make(["Sending. "], [Call("send", [json.dumps({"key": SECRET})])])])
    assert SECRET.encode() not in out
    answer = read(out)
    assert "keys are not for agents" in answer.text and not answer.calls


MIXED = (
    REDACT
    + """
  - {id: no-essays, at: post_llm_response, when: "response.parts.exists(p, p.text.contains('essay'))", verdict: deny}
"""
)


@each_format
def test_an_answer_that_was_held_is_edited_and_restored_as_any_other(codec: str) -> None:
    make, read = FORMATS[codec]
    request = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": f"mail {MAIL} now"}]})
    placeholder = Pseudonyms(KEY).placeholder("email", MAIL)
    text, arguments = (
        f"To {placeholder} and {SECRET}",
        json.dumps({"to": placeholder, "key": SECRET}, ensure_ascii=False),
    )
    stream = make(pieces_of(text, [4, 11, 30]), [Call("mail", pieces_of(arguments, [9, 20]))])
    answer = read(guarded(MIXED, codec, cut(stream, [100, 200, 300]), request.encode()))
    assert answer.text == f"To {MAIL} and [REDACTED:github_token]"
    assert json.loads(answer.calls[0][1]) == {"to": MAIL, "key": "[REDACTED:github_token]"}
    assert "no-essays" in read(guarded(MIXED, codec, [make(["An essay"])])).text
