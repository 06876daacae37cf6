"""OpenAI Chat: every path of wire-formats §1.1 to §1.3, and what vendors make of it."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import AmbiguousError, Channel, Key, openai_chat
from proxy.codecs.framings import Frame
from proxy.codecs.splicing import Remove, splice
from proxy.events import Usage
from tests.codecs import documents
from tests.codecs.streams import chat_message, readings, rewritten, stream, texts

CODEC = openai_chat.CODEC

type Said = Mapping[str, tuple[str, bool]]
"""Kind and seal of each text."""


def parts_of(parts: Any) -> dict[str, tuple[str, bool]]:
    return {part.text: (part.kind, part.sealed) for part in parts if not isinstance(part.path[-1], Key)}


def open_(kind: str, *found: str) -> dict[str, tuple[str, bool]]:
    return dict.fromkeys(found, (kind, False))


def sealed(kind: str, *found: str) -> dict[str, tuple[str, bool]]:
    return dict.fromkeys(found, (kind, True))


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def call(arguments: Any = "{}", call_id: str = "c1", name: str = "f") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


DETAILS = [
    {"type": "reasoning.text", "text": "signed", "signature": "SIG"},
    {"type": "reasoning.text", "text": "unsigned"},
    {"type": "reasoning.summary", "summary": "short"},
    {"type": "reasoning.encrypted", "data": "RED"},
]
GOOGLE = {"google": {"thought_signature": "THOUGHT"}}

MESSAGES: list[tuple[dict[str, Any], Said]] = [
    ({"role": "developer", "content": "sys"}, open_("text", "sys")),
    ({"role": "user", "content": "hi", "name": "Ann"}, open_("text", "hi", "Ann")),
    ({"role": "assistant", "content": None}, {}),
    (user({"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}, "bare"), open_("text", "hi", "bare")),
    ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, open_("text", "no")),
    ({"role": "assistant", "refusal": "never"}, open_("text", "never")),
    (
        user({"type": "image_url", "image_url": {"url": "https://i.example", "detail": "low"}}),
        open_("text", "https://i.example"),
    ),
    (
        user({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}),
        sealed("media", "data:image/png;base64,AA"),
    ),
    (user({"type": "image_url", "image_url": "https://plain.example"}), open_("media", "https://plain.example")),
    (user({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}), sealed("media", "AA")),
    (
        user({"type": "file", "file": {"file_data": "data:application/pdf;base64,BB", "filename": "n.pdf"}}),
        sealed("media", "data:application/pdf;base64,BB") | open_("text", "n.pdf"),
    ),
    (user({"type": "file", "file": {"file_id": "file_1"}}), {}),
    (user({"type": "video_url", "video_url": {"url": "https://v.example"}}), open_("text", "https://v.example")),
    (user({"type": "file_url", "file_url": "https://f.example"}), open_("media", "https://f.example")),
    (user({"type": "document_url", "document_url": "https://d.example"}), open_("media", "https://d.example")),
    (
        {"role": "assistant", "tool_calls": [call('{"p":".env"}')]},
        open_("tool_call", '{"p":".env"}') | sealed("tool_call", "f"),
    ),
    (
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "exec", "input": "ls"}}]},
        open_("tool_call", "ls") | sealed("tool_call", "exec"),
    ),
    (
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"old":1}'}},
        open_("tool_call", '{"old":1}') | sealed("tool_call", "f"),
    ),
    ({"role": "tool", "tool_call_id": "c", "content": "out"}, open_("tool_result", "out")),
    ({"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "out"}]}, open_("tool_result", "out")),
    ({"role": "function", "name": "f", "content": "old"}, open_("tool_result", "old")),
    ({"role": "assistant", "audio": {"id": "audio_1"}}, {}),
    (
        {"role": "assistant", "audio": {"id": "a", "data": "AA", "transcript": "spoken"}},
        sealed("media", "AA") | open_("text", "spoken"),
    ),
    ({"role": "assistant", "reasoning_content": "hm"}, open_("reasoning", "hm")),
    ({"role": "assistant", "reasoning": "hm"}, open_("reasoning", "hm")),
    (
        {"role": "assistant", "reasoning_details": DETAILS},
        sealed("reasoning", "signed", "SIG", "RED") | open_("reasoning", "unsigned", "short"),
    ),
    ({"role": "assistant", "extra_content": GOOGLE}, sealed("text", "THOUGHT")),
    ({"role": "assistant", "tool_calls": [call() | {"extra_content": GOOGLE}]}, sealed("tool_call", "THOUGHT")),
    (
        {
            "role": "assistant",
            "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t", "content": "c"}}],
        },
        open_("text", "u", "t", "c"),
    ),
    (  # OpenRouter gives back what it read out of a PDF, and wants it again
        {
            "role": "assistant",
            "annotations": [
                {
                    "type": "file",
                    "file": {"name": "n.pdf", "hash": "h", "content": [{"type": "text", "text": "the PDF"}]},
                }
            ],
        },
        open_("text", "n.pdf", "the PDF"),
    ),
    (
        {
            "role": "assistant",
            "executed_tools": [
                {
                    "index": 0,
                    "type": "search",
                    "arguments": '{"query":"q"}',
                    "output": "found",
                    "search_results": {"results": [{"title": "t", "url": "u", "content": "page"}]},
                }
            ],
        },
        open_("tool_call", '{"query":"q"}') | open_("tool_result", "found", "t", "u", "page"),
    ),
    ({"role": "assistant", "of_tomorrow": {"deep": ["text"]}}, open_("text", "text")),
]


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_a_message_of_a_request(message: Any, expected: Said) -> None:
    document = {"messages": [message]}
    request = CODEC.read_request(document)
    assert documents.unread(document, request) == []
    assert parts_of(request.parts).items() >= expected.items()


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_a_message_of_an_answer(message: Any, expected: Said) -> None:
    document = {"choices": [{"index": 0, "message": message}]}
    response = CODEC.read_response(document)
    assert documents.unread(document, response) == []
    assert parts_of(response.parts).items() >= expected.items()


@pytest.mark.parametrize(("message", "expected"), MESSAGES)
def test_the_same_as_a_delta(message: Any, expected: Said) -> None:
    delta = {name: value for name, value in message.items() if name != "tool_call_id"}
    event = {"choices": [{"index": 0, "delta": delta}]}
    reading = CODEC.stream_reader().read(event)
    spoken = {fragment.text: fragment.channel in reading.sealed for fragment in reading.fragments}
    names = {opened.name for opened in reading.opens}
    for text, (_, is_sealed) in expected.items():
        assert text in names or text in spoken, text
        assert text in names or spoken[text] or not is_sealed or text in ("signed",), text
    assert [path for path in documents.unsaid(event, reading) if path[-1] != "name"] == []


REQUEST: dict[str, Any] = {
    "model": "m",
    "messages": [message for message, _ in MESSAGES],
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": "does f", "parameters": {"description": "shape"}},
        },
        {"type": "custom", "custom": {"name": "exec", "format": {"grammar": {"definition": "start: x"}}}},
        {"type": "openrouter:web_search", "parameters": {"engine": "exa"}},
    ],
    "functions": [{"name": "old", "description": "old tool"}],
    "prediction": {"type": "content", "content": [{"type": "text", "text": "the whole file"}]},
    "response_format": {"type": "json_schema", "json_schema": {"name": "out", "schema": {"description": "answer"}}},
    "stop": ["END"],
    "user": "u-1",
    "safety_identifier": "s-1",
    "prompt_cache_key": "k-1",
    "web_search_options": {"user_location": {"approximate": {"city": "Rome"}}},
    "models": ["other/model"],
    "moderation": {"policy": "mine"},
}


def test_what_else_a_request_says() -> None:
    request = CODEC.read_request(REQUEST)
    assert documents.unread(REQUEST, request) == []
    found = parts_of(request.parts)
    assert found.items() >= open_("tool_definition", "does f", "shape", "start: x", "old tool").items()
    assert found.items() >= open_("text", "the whole file", "answer", "END", "u-1", "Rome", "mine").items()
    assert list(request.tools) == ["f", "exec", "old"]


ANSWER: dict[str, Any] = {
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "so"},
            "logprobs": {"content": [{"token": "so", "bytes": [115, 111], "top_logprobs": [{"token": "to"}]}]},
            "finish_reason": "stop",
            "native_finish_reason": "end_turn",
            "content_filter_results": {"hate": {"severity": "safe"}},
        }
    ],
    "prompt_filter_results": [{"content_filter_results": {"custom": {"details": "d"}}}],
    "citations": ["https://c.example"],
    "search_results": [{"title": "t", "url": "u", "snippet": "s", "date": "d"}],
    "moderation": {"output": {"reason": "r"}},
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (ANSWER, ("so", "safe", "d", "https://c.example", "t", "u", "s", "r")),
        ({"error": {"message": "m", "type": "invalid", "param": "p", "code": "c"}}, ("m", "p", "c")),
        ({"error": {"message": "m", "failed_generation": "the model's words"}}, ("m", "the model's words")),
        ({"error": {"message": "m", "metadata": {"raw": '{"error":"upstream"}'}}}, ("m", '{"error":"upstream"}')),
        ({"error": {"message": "m", "innererror": {"code": "filtered"}}}, ("m", "filtered")),
        ({"error": "only words"}, ("only words",)),
        ({"detail": [{"msg": "m", "input": "echo"}]}, ("m", "echo")),
    ],
)
def test_what_else_an_answer_says(document: Any, expected: tuple[str, ...]) -> None:
    response = CODEC.read_response(document)
    assert documents.unread(document, response) == []
    assert set(expected) <= parts_of(response.parts).keys()
    reading = CODEC.stream_reader().read(document)
    assert set(expected) <= {fragment.text for fragment in reading.fragments} | {"so"}


def test_citations_with_offsets_go_with_an_edited_text() -> None:
    annotations = [
        {"type": "url_citation", "url_citation": {"url": "u", "start_index": 0, "end_index": 2}},
        {"type": "file", "file": {"name": "n", "content": [{"type": "text", "text": "the PDF"}]}},
    ]
    document = {"choices": [{"message": {"role": "assistant", "content": "so", "annotations": annotations}}]}
    response = CODEC.read_response(document)
    (index,) = [i for i, part in enumerate(response.parts) if part.text == "so"]
    gone = Remove(("choices", 0, "message", "annotations", 0))
    assert list(response.when_edited) == [(index, gone)]
    (_, _, reading), _ = readings(CODEC, stream(chunk({"annotations": annotations})))
    assert list(reading.when_edited) == [(("text", 0), Remove(("choices", 0, "delta", "annotations", 0)))]


# calls in other shapes


@pytest.mark.parametrize("arguments", ['{"p":".env"}', {"p": ".env"}])
def test_one_call_in_the_place_of_a_list(arguments: Any) -> None:
    document = {"choices": [{"message": {"tool_calls": call(arguments)}, "finish_reason": "tool_calls"}]}
    response = CODEC.read_response(document)
    assert [(each.name, each.arguments) for each in response.calls] == [("f", {"p": ".env"})]
    cut = orjson.loads(splice(orjson.dumps(document), CODEC.cut_calls(document, response, {0: "NO"})))
    assert cut["choices"] == [{"message": {"content": "NO"}, "finish_reason": "stop"}]
    raw = stream(chunk({"tool_calls": {"index": 0} | call(arguments)}), chunk({}, "tool_calls"))
    (opened, *_) = [opened for _, _, reading in readings(CODEC, raw) for opened in reading.opens]
    assert (opened.name, opened.call_id) == ("f", "c1")
    assert chat_message(rewritten(CODEC, raw, {("tool_call", 0, 0): "NO"})) == {
        "content": "NO",
        "calls": {},
        "finish": "stop",
    }


def chunk(delta: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": "x", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish} | more]}


def piece(arguments: str = "", **more: Any) -> dict[str, Any]:
    name = more.pop("name", None)
    return {
        "tool_calls": [{"index": 0} | more | {"function": {"arguments": arguments} | ({"name": name} if name else {})}]
    }


def test_a_call_named_twice_is_refused() -> None:
    twice = stream(chunk(piece(id="c", name="read")), chunk(piece("{}", name="delete")))
    with pytest.raises(AmbiguousError, match="named twice"):
        readings(CODEC, twice)
    same = stream(chunk(piece(id="c", name="read")), chunk(piece("{}", name="read")), chunk({}, "tool_calls"))
    assert [opened.name for _, _, reading in readings(CODEC, same) for opened in reading.opens] == ["read"]


def test_a_name_may_come_after_the_id() -> None:
    late = stream(chunk(piece(id="c")), chunk(piece(name="read")), chunk(piece("{}")), chunk({}, "tool_calls"))
    opens = [opened for _, _, reading in readings(CODEC, late) for opened in reading.opens]
    assert [(each.call_id, each.name) for each in opens] == [("c", ""), ("c", "read")]


def test_a_call_that_goes_on_after_its_end_is_refused() -> None:
    raw = stream(chunk(piece('{"p":1}', id="c", name="f")), chunk({}, "tool_calls"), chunk(piece(',"p":2}')))
    with pytest.raises(AmbiguousError, match="after its end"):
        readings(CODEC, raw)


def test_a_call_that_begins_after_an_end_is_told() -> None:
    """Together ends the first call, and begins the second after it."""
    second = {"tool_calls": [{"index": 1} | call("", "c2", "g")]}
    raw = stream(
        chunk(piece("{}", id="c1", name="f")),
        chunk({}, "tool_calls"),
        chunk(second),
        chunk({"tool_calls": [{"index": 1, "function": {"arguments": "[]"}}]}),
        chunk({}, "tool_calls"),
    )
    assert texts(CODEC, raw) == {("tool_call", 0, 0): "{}", ("tool_call", 0, 1): "[]"}
    assert chat_message(rewritten(CODEC, raw, {("tool_call", 0, 1): "NO"}))["calls"] == {0: ["f", "{}"]}


def test_an_empty_reason_ends_nothing() -> None:
    raw = stream(chunk({"content": "sk-"}, ""), chunk({"content": "live"}, ""), chunk({}, "stop"))
    assert texts(CODEC, raw) == {("text", 0): "sk-live"}


def test_a_copy_of_each_piece_grows_too() -> None:
    raw = stream(chunk({"content": "sk-"}, text="sk-"), chunk({"content": "live"}, text="live"), chunk({}, "stop"))
    assert texts(CODEC, raw) == {("text", 0): "sk-live", ("text", 0, "beside"): "sk-live"}


# messages beside the deltas


def test_a_call_that_only_a_message_tells_is_judged() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [call('{"p":".env"}')]}
    raw = stream({"choices": [{"index": 0, "message": message, "delta": {}, "finish_reason": "tool_calls"}]})
    (_, _, reading), _ = readings(CODEC, raw)
    assert [(opened.name, opened.call_id) for opened in reading.opens] == [("f", "c1")]
    assert reading.opens[0].channel in reading.closes
    out = orjson.loads(rewritten(CODEC, raw, {("tool_call", 0, 0): "NO"}).split(b"\n")[0].removeprefix(b"data: "))
    (choice,) = out["choices"]
    assert choice["message"] == {"role": "assistant", "content": "NO"}
    assert choice["finish_reason"] == "stop"


def test_a_call_that_a_message_repeats_is_told_once_and_cut_in_both() -> None:
    message = {"role": "assistant", "content": "", "tool_calls": [call('{"p":1}')]}
    raw = stream(chunk({"tool_calls": [{"index": 0} | call('{"p":1}')]}), chunk({}, "tool_calls", message=message))
    assert len([opened for _, _, reading in readings(CODEC, raw) for opened in reading.opens]) == 1
    assert b'"p' not in rewritten(CODEC, raw, {("tool_call", 0, 0): "NO"})


def test_a_call_that_a_message_tells_otherwise_is_refused() -> None:
    message = {"role": "assistant", "tool_calls": [call('{"p":2}')]}
    raw = stream(chunk({"tool_calls": [{"index": 0} | call('{"p":1}')]}), chunk({}, "tool_calls", message=message))
    with pytest.raises(AmbiguousError, match="told twice"):
        readings(CODEC, raw)


# tools that the provider ran


EXECUTED = {"index": 0, "type": "search", "arguments": '{"query":"q"}'}
FOUND = EXECUTED | {"output": "found", "search_results": {"results": [{"content": "page"}]}}


def test_executed_tools_are_calls_of_the_provider() -> None:
    message = {"role": "assistant", "content": "so", "executed_tools": [FOUND], "tool_calls": [call()]}
    document = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    response = CODEC.read_response(document)
    assert [(each.name, each.arguments, each.by_provider) for each in response.calls] == [
        ("search", {"query": "q"}, True),
        ("f", {}, False),
    ]
    (result,) = response.results
    assert (result.call_id, [response.parts[i].text for i in result.parts]) == ("executed_0", ["found", "page"])
    cut = orjson.loads(splice(orjson.dumps(document), CODEC.cut_calls(document, response, {1: "NO"})))
    assert cut["choices"][0]["finish_reason"] == "stop"


def test_executed_tools_of_a_stream() -> None:
    raw = stream(
        chunk({"executed_tools": [EXECUTED]}), chunk({"executed_tools": [FOUND]}), chunk({"content": "so"}, "stop")
    )
    first, second, last, _ = [reading for _, _, reading in readings(CODEC, raw)]
    (opened,) = [*first.opens, *second.opens]
    assert (opened.name, opened.arguments, opened.by_provider) == ("search", {"query": "q"}, True)
    assert opened.channel in first.closes
    assert not first.results
    (result,) = second.results
    assert [second.fragments[i].text for i in result.parts] == ["found", "page"]
    assert not last.calls


# whole streams of vendors


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        (
            [chunk({"reasoning": "h", "channel": "analysis"}), chunk({"reasoning": "m"})],
            {("reasoning", 0, "reasoning"): "hm", ("text", 0, "channel"): "analysis"},
        ),
        ([chunk({}), chunk({"content": None}), chunk({"content": ""}), chunk({"content": "a"})], {("text", 0): "a"}),
        ([chunk({"refusal": "n"}), chunk({"refusal": "o"})], {("text", 0, "refusal"): "no"}),
        (
            [chunk({"audio": {"id": "a", "transcript": "sp"}}), chunk({"audio": {"transcript": "oken"}})],
            {("text", 0, "transcript"): "spoken"},
        ),
        ([{"choices": [], "prompt_filter_results": []}, chunk({"content": "a"})], {("text", 0): "a"}),
        (
            [
                chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": text, "index": 0}]})
                for text in "ab"
            ],
            {("reasoning", 0, "summary", 0): "ab"},
        ),
    ],
)
def test_texts_grow(chunks: Any, expected: Any) -> None:
    found = texts(CODEC, stream(*chunks, chunk({}, "stop")))
    assert {channel: text for channel, text in found.items() if "once" not in channel} == expected


def test_usage_of_vendors() -> None:
    for used, cached in (
        ({"prompt_cache_hit_tokens": 3}, 3),
        ({"cached_tokens": 3}, 3),
        ({"prompt_tokens_details": {"cached_tokens": 3}}, 3),
        ({}, 0),
    ):
        usage = CODEC.read_response({"usage": {"prompt_tokens": 5, "completion_tokens": 2} | used}).usage
        assert usage == Usage(input=5, output=2, cache_read=cached)
    (_, _, reading), _ = readings(CODEC, stream({"choices": [], "x_groq": {"usage": {"prompt_tokens": 5}}}))
    assert reading.usage == Usage(input=5, output=0)


# no quadratic time


def test_ten_thousand_parallel_calls() -> None:
    pieces = [{"index": i} | call("{}", f"c{i}", f"f{i}") for i in range(10_000)]
    raw = stream(chunk({"tool_calls": pieces}), chunk({}, "tool_calls"))
    cuts: dict[Channel, str] = {("tool_call", 0, i): "NO" for i in range(0, 10_000, 2)}
    calls = chat_message(rewritten(CODEC, raw, cuts))["calls"]
    assert (len(calls), calls[0], calls[4999]) == (5000, ["f1", "{}"], ["f9999", "{}"])


# anything


EVERY_ANSWER = ANSWER | {
    "choices": [{"index": i, "message": m, "finish_reason": "stop"} for i, (m, _) in enumerate(MESSAGES)]
}


@given(st.data())
def test_any_json_in_any_place(data: st.DataObject) -> None:
    value = data.draw(documents.ANY_JSON)
    for document, read in ((REQUEST, CODEC.read_request), (EVERY_ANSWER, CODEC.read_response)):
        changed = documents.put(document, data.draw(st.sampled_from(documents.places(document))), value)
        found = read(changed)
        assert documents.unread(changed, found) == []
        assert documents.misplaced(changed, [(part.path, part.text) for part in found.parts]) == []
        assert len({part.path for part in found.parts}) == len(found.parts)


EVENTS: list[dict[str, Any]] = [
    *(chunk(message) for message, _ in MESSAGES),
    chunk({"content": "a"}, logprobs={"content": [{"token": "a"}]}, text="a"),
    chunk({}, message={"role": "assistant", "content": "so far", "tool_calls": [call('{"other":1}', "c9", "g")]}),
    chunk({"executed_tools": [FOUND]}),
    chunk({}, "stop", usage={"prompt_tokens": 1}),
    ANSWER,
]


@given(st.data())
def test_any_json_in_any_place_of_a_stream(data: st.DataObject) -> None:
    value = data.draw(documents.ANY_JSON)
    event = data.draw(st.sampled_from(EVENTS))
    changed = documents.put(event, data.draw(st.sampled_from(documents.places(event))), value)
    reader, writer = CODEC.stream_reader(), CODEC.stream_writer()
    reader.read(EVENTS[data.draw(st.integers(0, len(EVENTS) - 1))])
    try:
        reading = reader.read(changed)
    except AmbiguousError:
        return
    fragments = [(fragment.path, fragment.text) for fragment in reading.fragments]
    assert documents.misplaced(changed, fragments) == []
    left = [path for path in documents.unsaid(changed, reading) if path[-1] not in ("name", "finish_reason")]
    assert [path for path in left if len(path) != 1 or path[0] not in ("obfuscation", "p")] == []
    raw = orjson.dumps(changed)
    writer.rewrite(
        Frame(raw, None, raw), changed, reading, {o.channel: "NO" for o in reading.opens if not o.by_provider}
    )
    reader.finish()
