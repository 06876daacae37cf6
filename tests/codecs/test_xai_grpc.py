"""xAI's gRPC API: every message that carries text, calls of the client and of xAI, streams, and what midstream says."""

import gzip
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import DecodeError, Key, Part, Reading, Response, providers, trees, xai_grpc
from proxy.codecs.codec import Codec
from proxy.codecs.framings import Frame
from proxy.codecs.framings.grpc import Grpc
from proxy.codecs.splicing import TextChange
from proxy.codecs.xai_grpc.messages import TABLE, message
from proxy.decision import TextEdit
from proxy.events import Usage
from proxy.stream_judge import StreamRefusedError
from tests import judging
from tests.codecs import recorded

CODEC = xai_grpc.CODEC


def framed(content: bytes) -> bytes:
    return b"\0" + len(content).to_bytes(4) + content


def call(call_id: str, name: str = "f", arguments: str = "{}", kind: int = 1) -> dict[str, Any]:
    return {"id": call_id, "type": kind, "function": {"name": name, "arguments": arguments}}


REQUEST: dict[str, Any] = {
    "model": "grok-4",
    "max_tokens": 9,
    "user": "u-1",
    "previous_response_id": "before",
    "stop": ["END"],
    "messages": [
        {"role": 3, "content": [{"text": "sys"}]},
        {"role": 6, "content": [{"text": "dev"}]},
        {
            "role": 1,
            "name": "Ann",
            "content": [
                {"text": "hi"},
                {"image_url": {"image_url": "data:image/png;base64,AA", "detail": 1}},
                {"file": {"file_id": "file_1"}},
                {"file": {"data": "the file's text", "filename": "n.txt", "mime_type": "text/plain"}},
            ],
        },
        {"role": 2, "encrypted_content": "SEALED", "tool_calls": [call("w1", "web_search", '{"query":"q"}', 2)]},
        {"role": 5, "encrypted_content": "FOUND", "tool_calls": [call("w1", "web_search", '{"query":"q"}', 2)]},
        {
            "role": 2,
            "content": [{"text": ""}],
            "reasoning_content": "hm",
            "tool_calls": [call("c1", "Read", '{"path":".env"}'), call("c2", "Exec", '{"cmd":"ls"}')],
        },
        {"role": 5, "content": [{"text": "first"}]},
        {"role": 1, "content": [{"text": "between"}]},
        {"role": 5, "tool_call_id": "c2", "content": [{"text": "second"}]},
    ],
    "tools": [
        {"function": {"name": "Read", "description": "reads", "parameters": '{"type":"object","title":"path"}'}},
        {"web_search": {"allowed_domains": ["a.example"], "user_location": {"city": "Rome"}}},
        {"x_search": {"allowed_x_handles": ["h"], "from_date": {"seconds": 1}}},
        {"collections_search": {"collection_ids": ["col"], "instructions": "only new"}},
        {"mcp": {"server_label": "wiki", "authorization": "Bearer x", "extra_headers": [{"key": "k", "value": "v"}]}},
    ],
    "response_format": {"format_type": 3, "schema": "{}"},
    "search_parameters": {"sources": [{"web": {"country": "IT"}}, {"rss": {"links": ["https://l.example"]}}]},
    "include": [1, 2],
}


def request_of(document: Any, codec: Codec = CODEC) -> Any:
    return codec.read_request(document)


def test_a_request_is_read_from_its_bytes() -> None:
    raw = framed(message("Request").encode(REQUEST))
    document = CODEC.syntax.parse(raw)
    assert document == REQUEST
    request = CODEC.read_request(document)
    assert recorded.unread(document, request) == []
    assert recorded.misplaced(document, request) == []
    assert (request.model, request.stream, request.max_output, request.turn, request.follows) == (
        "grok-4",
        False,
        9,
        2,
        "before",
    )
    assert list(request.tools) == ["Read"]
    assert request.calls["c1"] == ("Read", {"path": ".env"})
    said = {part.text: part for part in request.parts}
    told = ("sys", "dev", "hi", "the file's text", "hm", "first", "between", '{"path":".env"}', "reads", "Rome")
    assert [(said[text].role, said[text].kind, said[text].new) for text in told] == [
        ("system", "text", False),
        ("system", "text", False),
        ("user", "text", False),
        ("user", "text", False),
        ("assistant", "reasoning", False),
        ("tool", "tool_result", True),
        ("user", "text", True),
        ("assistant", "tool_call", False),
        ("system", "tool_definition", False),
        ("system", "tool_definition", False),
    ]
    sealed = ("SEALED", "FOUND", "data:image/png;base64,AA", "before", "Exec")
    assert all(said[text].sealed for text in sealed)
    assert not any(said[text].sealed for text in told)
    assert said['{"cmd":"ls"}'].json
    assert said['{"type":"object","title":"path"}'].json


def test_results_without_an_id_answer_the_calls_in_order() -> None:
    request = CODEC.read_request(REQUEST)
    found = [(r.call_id, r.name, [request.parts[i].text for i in r.parts], r.new) for r in request.results]
    assert found == [
        ("w1", "web_search", [], False),
        ("c1", "Read", ["first"], True),
        ("c2", "Exec", ["second"], True),
    ]


def test_a_denied_result_becomes_a_notice() -> None:
    raw = framed(message("Request").encode(REQUEST))
    request = CODEC.read_request(REQUEST)
    changes = [change for result in request.results for change in CODEC.deny_result(REQUEST, result, "NO")]
    document = CODEC.syntax.parse(CODEC.syntax.splice(raw, changes))
    assert [document["messages"][i]["content"] for i in (4, 6, 8)] == [[{"text": "NO"}]] * 3
    assert document["messages"][4]["encrypted_content"] == "FOUND"


USED = {
    "prompt_tokens": 10,
    "completion_tokens": 3,
    "reasoning_tokens": 4,
    "total_tokens": 17,
    "cached_prompt_text_tokens": 12,
}
ANSWER: dict[str, Any] = {
    "id": "answer-1",
    "model": "grok-4",
    "outputs": [
        {
            "index": 0,
            "finish_reason": 4,
            "message": {
                "role": 2,
                "reasoning_content": "hm",
                "encrypted_content": "SEALED",
                "tool_calls": [call("m1", "wiki.ask", '{"q":"x"}', 6)],
            },
        },
        {
            "index": 1,
            "message": {
                "role": 5,
                "content": "found",
                "encrypted_content": "E",
                "tool_calls": [call("m1", "wiki.ask", '{"q":"x"}', 6)],
            },
        },
        {
            "index": 2,
            "finish_reason": 4,
            "message": {
                "role": 2,
                "content": "see",
                "citations": [{"id": "1", "start_index": 0, "web_citation": {"url": "https://c.example"}}],
                "tool_calls": [call("c1", "Read", '{"path":".env"}'), call("c2", "Exec", "", 0)],
            },
            "logprobs": {"content": [{"token": "see", "bytes": "see", "top_logprobs": [{"token": "sea"}]}]},
        },
    ],
    "citations": ["https://c.example"],
    "usage": USED,
    "settings": {"tools": REQUEST["tools"], "user": "u-1"},
    "debug_output": {"prompt": "the whole prompt"},
}


def test_an_answer_is_read() -> None:
    raw = framed(message("Answer").encode(ANSWER))
    assert CODEC.answers is not None
    document = CODEC.answers.parse(raw)
    assert document == ANSWER
    response = CODEC.read_response(document)
    assert recorded.unread(document, response) == []
    assert recorded.misplaced(document, response) == []
    assert [(c.call_id, c.name, c.arguments, c.by_provider, c.server) for c in response.calls] == [
        ("m1", "ask", {"q": "x"}, True, "wiki"),
        ("c1", "Read", {"path": ".env"}, False, None),
        ("c2", "Exec", {}, False, None),
    ]
    (result,) = response.results
    assert (result.call_id, result.name, [response.parts[i].text for i in result.parts]) == ("m1", "ask", ["found"])
    assert response.stop_reason == "REASON_TOOL_CALLS"
    assert response.usage == Usage(input=10, output=7, cache_read=10)
    assert (response.model, response.keeps) == ("grok-4", "answer-1")
    said = {part.text: part for part in response.parts}
    assert said["SEALED"].sealed
    assert (said["hm"].kind, said["see"].kind, said["found"].kind) == ("reasoning", "text", "tool_result")
    assert "the whole prompt" in said


def test_what_counts_in_a_text_goes_when_it_is_edited() -> None:
    response = CODEC.read_response(ANSWER)
    (see,) = [i for i, part in enumerate(response.parts) if part.text == "see"]
    assert [part for part, _ in response.when_edited] == [see, see]
    assert CODEC.answers is not None
    raw = CODEC.answers.splice(framed(message("Answer").encode(ANSWER)), [c for _, c in response.when_edited])
    output = CODEC.answers.parse(raw)["outputs"][2]
    assert "logprobs" not in output
    assert "citations" not in output["message"]


@pytest.mark.parametrize(
    ("cuts", "left", "said", "reason"),
    [({1: "NO 1"}, ["c2"], "see\n\nNO 1", 4), ({1: "NO 1", 2: "NO 2"}, None, "see\n\nNO 1\n\nNO 2", 3)],
)
def test_calls_are_cut(cuts: Mapping[int, str], left: list[str] | None, said: str, reason: int) -> None:
    assert CODEC.answers is not None
    raw = framed(message("Answer").encode(ANSWER))
    changes = CODEC.cut_calls(ANSWER, CODEC.read_response(ANSWER), cuts)
    output = CODEC.answers.parse(CODEC.answers.splice(raw, changes))["outputs"][2]
    calls = output["message"].get("tool_calls")
    assert (calls and [each["id"] for each in calls]) == left
    assert (output["message"]["content"], output["finish_reason"]) == (said, reason)


def test_a_notice_where_nothing_was_said() -> None:
    document = {"outputs": [{"finish_reason": 4, "message": {"role": 2, "tool_calls": [call("c")]}}]}
    assert CODEC.answers is not None
    changes = CODEC.cut_calls(document, CODEC.read_response(document), {0: "NO"})
    raw = CODEC.answers.splice(framed(message("Answer").encode(document)), changes)
    assert CODEC.answers.parse(raw) == {"outputs": [{"message": {"role": 2, "content": "NO"}, "finish_reason": 3}]}


# streams


def chunk(index: int = 0, finish: int | None = None, **delta: Any) -> dict[str, Any]:
    output: dict[str, Any] = {"index": index, "delta": {"role": 2} | delta}
    if finish:
        output["finish_reason"] = finish
    return {"id": "answer-1", "model": "grok-4", "outputs": [output]}


def stream(*chunks: dict[str, Any]) -> bytes:
    return b"".join(framed(message("Chunk").encode(each)) for each in chunks)


STREAM = stream(
    chunk(reasoning_content="h"),
    chunk(reasoning_content="m"),
    chunk(tool_calls=[call("w1", "web_search", '{"query":"q"}', 2)]),
    chunk(1, role=5, content="fou", encrypted_content="E", tool_calls=[call("w1", "web_search", '{"query":"q"}', 2)]),
    chunk(1, role=5, content="nd"),
    chunk(2, content="Let me "),
    chunk(2, content="see"),
    chunk(2, tool_calls=[call("c1", "Read", '{"path":".env"}'), call("c2", "Exec", '{"cmd":"ls"}')]),
    chunk(2, 4) | {"usage": USED, "citations": ["https://c.example"]},
)


def read(raw: bytes, codec: Codec = xai_grpc.STREAM) -> list[tuple[Frame | None, Any, Reading]]:
    assert codec.events is not None
    reader, framing = codec.stream_reader(), Grpc()
    found: list[tuple[Frame | None, Any, Reading]] = []
    for frame in [*framing.feed(raw), *framing.finish()]:
        document = codec.events.parse(frame.data)
        found.append((frame, document, reader.read(document)))
    return [*found, (None, None, reader.finish())]


def texts(raw: bytes, codec: Codec = xai_grpc.STREAM) -> dict[Any, str]:
    found: dict[Any, str] = {}
    closed: set[Any] = set()
    for _, _, reading in read(raw, codec):
        for channel, _, text in reading.fragments:
            assert channel not in closed
            found[channel] = found.get(channel, "") + text
        closed |= set(reading.closes)
    assert found.keys() <= closed
    return found


def client(raw: bytes) -> dict[int, dict[str, Any]]:
    """What xai-sdk makes of a stream (`process_chunk`): texts and calls by the output's index."""
    outputs: dict[int, dict[str, Any]] = {}
    for frame in Grpc().feed(raw):
        for each in message("Chunk").parse(frame.data).get("outputs", ()):
            out = outputs.setdefault(each.get("index", 0), {"content": "", "calls": [], "finish": 0})
            out["content"] += each["delta"].get("content", "")
            out["calls"] += [made["id"] for made in each["delta"].get("tool_calls", ())]
            out["finish"] = each.get("finish_reason", 0)
    return outputs


def test_a_stream_is_read() -> None:
    found = {channel: text for channel, text in texts(STREAM).items() if "once" not in channel}
    assert found == {
        ("reasoning", 0): "hm",
        ("tool_call", 0, 1): '{"query":"q"}',
        ("tool_result", 1): "found",
        ("text", 2): "Let me see",
        ("tool_call", 2, 2): '{"path":".env"}',
        ("tool_call", 2, 3): '{"cmd":"ls"}',
    }
    opens = [opened for _, _, reading in read(STREAM) for opened in reading.opens]
    assert [(each.call_id, each.name, each.by_provider, each.after_text) for each in opens] == [
        ("w1", "web_search", True, False),
        ("c1", "Read", False, True),
        ("c2", "Exec", False, True),
    ]
    last = read(STREAM)[-2][2]
    assert (last.stop_reason, last.usage, last.model, last.keeps) == (
        "REASON_TOOL_CALLS",
        Usage(input=10, output=7, cache_read=10),
        "grok-4",
        "answer-1",
    )
    assert list(last.calls) == [("tool_call", 2, 2), ("tool_call", 2, 3)]
    assert read(STREAM)[-1][2].end


def test_reasoning_and_text_end_where_what_follows_begins() -> None:
    raw = stream(chunk(reasoning_content="hm"), chunk(content="so"), chunk(tool_calls=[call("c")]), chunk(finish=4))
    closes = [list(reading.closes) for _, _, reading in read(raw)]
    assert closes == [[], [("reasoning", 0)], [("text", 0), ("tool_call", 0, 1)], [], []]


def test_the_server_of_a_call_is_told() -> None:
    (opened,) = read(stream(chunk(tool_calls=[call("m", "wiki.ask.more", "{}", 6)])))[0][2].opens
    assert (opened.server, opened.name, opened.by_provider) == ("wiki", "ask.more", True)


def test_a_result_that_came_with_its_finished_call_is_told() -> None:
    done = call("m1", "wiki.ask", '{"q":"x"}', 6) | {"status": 1}
    reading = read(stream(chunk(1, role=5, content="found", tool_calls=[done])))[0][2]
    (result,) = reading.results
    assert (result.call_id, result.name, result.server) == ("m1", "ask", "wiki")
    assert [reading.fragments[index].text for index in result.parts] == ["found"]
    assert {reading.fragments[index].channel for index in result.parts} <= set(reading.closes)


def test_copies_go_with_an_edited_text() -> None:
    event = chunk(content="see", citations=[{"id": "1", "collections_citation": {"chunk_content": "c"}}])
    event["outputs"][0]["logprobs"] = {"content": [{"token": "see"}]}
    reading = xai_grpc.STREAM.stream_reader().read(event)
    assert [(channel, change.path[-1]) for channel, change in reading.when_edited] == [
        (("text", 0), "logprobs"),
        (("text", 0), "citations"),
    ]
    assert [fragment.text for fragment in reading.fragments] == ["see", "c"]


def rewritten(raw: bytes, cuts: Mapping[Any, str]) -> bytes:
    writer, framing, out = xai_grpc.STREAM.stream_writer(), Grpc(), []
    for frame, document, reading in read(raw):
        if frame is not None:
            new = writer.rewrite(frame, document, reading, cuts)
            out.append(frame.raw if new is None else b"".join(map(framing.encode, new)))
    return b"".join(out)


def test_without_cuts_nothing_is_rewritten() -> None:
    assert rewritten(STREAM, {}) == STREAM


def test_calls_of_a_stream_are_cut() -> None:
    both = client(rewritten(STREAM, {("tool_call", 2, 2): "NO 1", ("tool_call", 2, 3): "NO 2"}))
    assert both[2] == {"content": "Let me see\n\nNO 1\n\nNO 2", "calls": [], "finish": 3}
    assert both[0]["calls"] == ["w1"]
    one = client(rewritten(STREAM, {("tool_call", 2, 3): "NO"}))
    assert one[2] == {"content": "Let me see\n\nNO", "calls": ["c1"], "finish": 4}


def test_a_call_in_its_output_s_last_chunk_is_cut() -> None:
    raw = stream(chunk(finish=4, tool_calls=[call("c")], content="before"))
    assert client(rewritten(raw, {("tool_call", 0, 1): "NO"}))[0] == {
        "content": "before\n\nNO",
        "calls": [],
        "finish": 3,
    }


def test_a_stream_cut_anywhere_says_the_same() -> None:
    framing = Grpc()
    frames = [frame for i in range(len(STREAM)) for frame in framing.feed(STREAM[i : i + 1])]
    assert frames == Grpc().feed(STREAM)


def test_a_compressed_chunk_is_read_and_left() -> None:
    packed = gzip.compress(message("Chunk").encode(chunk(content="hi")))
    raw = b"\1" + len(packed).to_bytes(4) + packed
    assert texts(raw) == {("text", 0): "hi"}


# other methods


def test_a_deferred_answer_is_read_where_it_stands() -> None:
    codec = xai_grpc.DEFERRED
    assert codec.answers is not None
    document = {"response": ANSWER, "status": 1}
    raw = framed(message("Deferred").encode(document))
    response = codec.read_response(codec.answers.parse(raw))
    assert recorded.unread(document, response) == []
    assert recorded.misplaced(document, response) == []
    assert [each.call_id for each in response.calls] == ["m1", "c1", "c2"]
    cut = codec.answers.splice(raw, codec.cut_calls(document, response, {1: "NO", 2: "NO"}))
    assert codec.answers.parse(cut)["response"]["outputs"][2]["finish_reason"] == 3
    assert codec.read_response({"status": 3}).calls == []


def test_answers_that_are_fetched_follow_their_name() -> None:
    started = xai_grpc.START.read_response({"id": "later"})
    assert (started.keeps, xai_grpc.DEFERRED.read_request({"id": "later"}).follows) == ("later", "later")
    assert xai_grpc.STORED.read_request({"id": "kept"}).follows == "kept"


def test_compaction_is_told() -> None:
    request = xai_grpc.COMPACT.read_request({"model": "m", "messages": REQUEST["messages"]})
    assert request.compacts
    assert [part.text for part in request.parts][:2] == ["sys", "dev"]
    (part,) = xai_grpc.COMPACT.read_response({"id": "c", "encrypted_content": "SEALED"}).parts
    assert part.sealed


SAMPLED = {"model": "m", "choices": [{"index": 0, "text": "one", "finish_reason": 3}, {"index": 1, "text": "two"}]}


def test_samples() -> None:
    codec = xai_grpc.SAMPLE
    request = codec.read_request({"prompt": ["say"], "model": "m", "max_tokens": 5, "user": "u"})
    assert [(part.text, part.role) for part in request.parts] == [("say", "user"), ("u", "other")]
    assert (request.model, request.max_output, request.stream) == ("m", 5, False)
    response = codec.read_response(SAMPLED | {"usage": USED})
    assert [part.text for part in response.parts if not isinstance(part.path[-1], Key)] == ["one", "two"]
    assert (response.stop_reason, response.usage) == ("REASON_STOP", Usage(input=10, output=7, cache_read=10))


def test_samples_are_streamed() -> None:
    codec = xai_grpc.SAMPLE_STREAM
    assert codec.read_request({}).stream
    raw = b"".join(
        framed(message("TextAnswer").encode({"choices": [{"index": 0, "text": text}]})) for text in ("o", "ne")
    )
    assert texts(raw, codec) == {("text", 0): "one"}
    reading = codec.stream_reader().read(SAMPLED)
    assert (list(reading.closes), reading.stop_reason) == ([("text", 0)], "REASON_STOP")


@pytest.mark.parametrize(
    ("method", "codec"),
    [
        ("Chat/GetCompletion", xai_grpc.CODEC),
        ("Chat/GetCompletionChunk", xai_grpc.STREAM),
        ("Chat/StartDeferredCompletion", xai_grpc.START),
        ("Chat/GetDeferredCompletion", xai_grpc.DEFERRED),
        ("Chat/GetStoredCompletion", xai_grpc.STORED),
        ("Chat/CompactContext", xai_grpc.COMPACT),
        ("Sample/SampleText", xai_grpc.SAMPLE),
        ("Sample/SampleTextStreaming", xai_grpc.SAMPLE_STREAM),
        ("Embedder/Embed", xai_grpc.ANY),
    ],
)
def test_methods_have_their_codec(method: str, codec: Codec) -> None:
    route = providers.match("api.x.ai", "POST", "/xai_api." + method)
    assert route is not None
    assert providers.codec(route.codec) is codec


def test_any_other_method_is_read_as_strings() -> None:
    raw = framed(message("Request").encode(REQUEST))
    request = xai_grpc.ANY.read_request(xai_grpc.ANY.syntax.parse(raw))
    found = {part.text for part in request.parts}
    assert {"sys", "hi", "first", "Bearer x", "the file's text"} <= found
    changes = [TextChange(p.path, [TextEdit(0, 0, "+")]) for p in request.parts if p.text == "Bearer x"]
    assert (
        CODEC.syntax.parse(xai_grpc.ANY.syntax.splice(raw, changes))["tools"][4]["mcp"]["authorization"] == "+Bearer x"
    )


# what midstream says itself


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (1, [{"role": 1, "content": [{"text": "hi"}, {"text": "X"}]}]),
        (5, [{"role": 5, "content": [{"text": "hi"}]}, {"role": 1, "content": [{"text": "X"}]}]),
    ],
)
def test_inject_ends_the_request(role: int, expected: list[Any]) -> None:
    document = {"messages": [{"role": role, "content": [{"text": "hi"}]}], "model": "m"}
    raw = framed(message("Request").encode(document))
    out = CODEC.syntax.parse(CODEC.syntax.splice(raw, CODEC.inject(document, "X")))
    assert out["messages"] == expected


def test_inject_needs_messages() -> None:
    with pytest.raises(ValueError, match="no place"):
        CODEC.inject({"id": "x"}, "X")


def test_its_own_answers_are_read_back() -> None:
    assert CODEC.answers is not None
    response = CODEC.read_response(CODEC.answers.parse(CODEC.message("m", "t")))
    assert (response.model, [part.text for part in response.parts], response.stop_reason) == ("m", ["t"], "REASON_STOP")
    raw = b"".join(Grpc().encode(event) for event in CODEC.message_stream(None, "t"))
    assert client(raw) == {0: {"content": "t", "calls": [], "finish": 3}}
    sample = xai_grpc.SAMPLE
    assert sample.answers is not None
    assert [part.text for part in sample.read_response(sample.answers.parse(sample.message(None, "t"))).parts] == ["t"]
    assert CODEC.refusal(400, "no") == b""


# anything


_SCALARS = {
    "string": st.text(st.characters(codec="utf-8"), max_size=4),
    "bytes": st.just("text"),
    "int": st.integers(0, 9),
    "bool": st.booleans(),
    "float": st.just(0.5),
    "double": st.just(0.5),
}


@st.composite
def messages(draw: st.DrawFn, name: str, depth: int = 0) -> dict[str, Any]:
    """Any message of that name."""
    kinds = [kind for kind in TABLE[name].values() if depth < 4 or kind.type in _SCALARS]
    chosen = draw(st.lists(st.sampled_from(kinds), max_size=5, unique=True)) if kinds else ()
    tree: dict[str, Any] = {}
    for kind in chosen:
        one = _SCALARS[kind.type] if kind.type in _SCALARS else messages(kind.type, depth + 1)
        tree[kind.name] = draw(st.lists(one, min_size=1, max_size=3) if kind.repeated else one)
    return tree


UNKNOWN = b"\xf2\x07\x05later" + b"\xfa\x07\x06\x0a\x04deep"
"""Fields 126 and 127 of a later version, one of them a message."""


def checked(document: Any, read: Any) -> None:
    assert recorded.unread(document, read) == []
    assert recorded.misplaced(document, read) == []
    assert len({part.path for part in read.parts}) == len(read.parts)
    assert {"later", "deep"} <= {part.text for part in read.parts}


@pytest.mark.parametrize(
    ("codec", "asked", "answered"),
    [
        (xai_grpc.CODEC, "Request", "Answer"),
        (xai_grpc.DEFERRED, "Reference", "Deferred"),
        (xai_grpc.COMPACT, "Compact", "Compacted"),
        (xai_grpc.SAMPLE, "TextRequest", "TextAnswer"),
    ],
)
@given(st.data())
def test_any_message_is_read_whole(codec: Codec, asked: str, answered: str, data: st.DataObject) -> None:
    assert codec.answers is not None
    for name, syntax, read in (
        (asked, codec.syntax, codec.read_request),
        (answered, codec.answers, codec.read_response),
    ):
        raw = framed(message(name).encode(data.draw(messages(name))) + UNKNOWN)
        document = syntax.parse(raw)
        checked(document, read(document))


@pytest.mark.parametrize(("codec", "name"), [(xai_grpc.STREAM, "Chunk"), (xai_grpc.SAMPLE_STREAM, "TextAnswer")])
@given(st.data())
def test_any_chunk_is_read_whole(codec: Codec, name: str, data: st.DataObject) -> None:
    chunks = data.draw(st.lists(messages(name), max_size=3))
    raw = b"".join(framed(message(name).encode(each) + UNKNOWN) for each in chunks)
    for _, document, reading in read(raw, codec)[:-1]:
        said = [Part(fragment.path, fragment.text, "", "text") for fragment in reading.fragments]
        holder = Response(None, said, when_edited=[(0, change) for _, change in reading.when_edited])
        left = recorded.unread(document, holder)
        assert [path for path in left if path[-1] != "name" and at(document, path)] == []
        assert recorded.misplaced(document, holder) == []
    texts(raw, codec)


def at(document: Any, path: Any) -> Any:
    for step in path:
        document = document[step]
    return document


@given(st.binary(max_size=60))
def test_any_message_s_texts_are_all_found(raw: bytes) -> None:
    for codec in (xai_grpc.CODEC, xai_grpc.ANY):
        try:
            document = codec.syntax.parse(framed(raw))
        except ValueError:
            continue
        request = codec.read_request(document)
        assert recorded.unread(document, request) == []
        places = [part.path for part in request.parts if not isinstance(part.path[-1], Key)]
        assert codec.syntax.splice(framed(raw), [TextChange(path, ()) for path in places]) == framed(raw)
        assert {text for _, text in trees.strings(document)} >= {
            part.text for part in request.parts if not isinstance(part.path[-1], Key) and not part.text.isdigit()
        }
        orjson.dumps([part.text for part in request.parts])


# through the guard


DENY = """
version: 1
rules: [{id: no-exec, at: pre_tool_execution, tools: [Exec], verdict: deny, reason: never}]
"""
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
SECRETS = stream(*(chunk(content=piece) for piece in ("say ", SECRET[:9], SECRET[9:], " now")), chunk(finish=3))


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_secret_that_is_split_over_chunks_never_leaves(size: int) -> None:
    out = judging.guarded(
        judging.REDACT, "xai_grpc_stream", [SECRETS[i : i + size] for i in range(0, len(SECRETS), size)]
    )
    assert out == judging.guarded(judging.REDACT, "xai_grpc_stream", [SECRETS])
    said = client(out)[0]
    assert said["content"].startswith("say [")
    assert said["content"].endswith(" now")
    assert SECRET[9:].encode() not in out


def test_without_rules_a_stream_is_identical() -> None:
    assert judging.guarded("version: 1\nrules: []\n", "xai_grpc_stream", [STREAM]) == STREAM


def test_a_denied_call_is_cut_out_of_a_stream_and_of_an_answer() -> None:
    out = client(judging.guarded(DENY, "xai_grpc_stream", [STREAM]))
    assert out[2]["calls"] == ["c1"]
    assert "never" in out[2]["content"]
    outcome = judging.exchange(DENY, "xai_grpc").on_response(framed(message("Answer").encode(ANSWER)))
    assert outcome.body is not None
    kept = CODEC.of_answers.parse(outcome.body)["outputs"][2]["message"]
    assert [made["id"] for made in kept["tool_calls"]] == ["c1"]


def test_a_request_is_edited_in_its_frame() -> None:
    document = {"model": "m", "messages": [{"role": 1, "content": [{"text": f"my key is {SECRET}"}]}]}
    outcome = judging.exchange(judging.REDACT, "xai_grpc").on_request(framed(message("Request").encode(document)))
    assert outcome.body is not None
    assert SECRET not in CODEC.syntax.parse(outcome.body)["messages"][0]["content"][0]["text"]


@pytest.mark.parametrize(
    "odd",
    [
        message("Chunk").encode({"model": "a"}) + message("Chunk").encode({"model": "b"}),
        b"\x20\x01" + message("Chunk").encode(chunk(tool_calls=[call("c", "Exec")])),
    ],
    ids=["a field twice", "a wire type that readers skip"],
)
def test_a_chunk_that_readers_read_differently_is_refused(odd: bytes) -> None:
    with pytest.raises(StreamRefusedError):
        judging.guarded(DENY, "xai_grpc_stream", [framed(odd)])
    assert judging.guarded("version: 1\nrules: []\n", "xai_grpc_stream", [framed(odd)]) == framed(odd)


def test_a_broken_frame_ends_the_stream() -> None:
    with pytest.raises(DecodeError):
        judging.guarded(judging.REDACT, "xai_grpc_stream", [STREAM[:-1]])
