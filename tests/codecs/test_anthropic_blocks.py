"""Anthropic Messages: every block and delta type of wire-formats §3, in requests, whole answers and streams alike."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import Key, Response, anthropic, providers
from proxy.codecs.framings import Frame
from proxy.codecs.splicing import splice
from tests.codecs import documents, recorded
from tests.codecs.streams import messages_message, readings, rewritten, stream, texts

CODEC = anthropic.CODEC

URL = {"type": "url", "url": "https://u.example"}
CITED = {
    "type": "text",
    "text": "claim",
    "citations": [
        {"type": "char_location", "cited_text": "cited", "document_title": "title", "start_char_index": 0},
        {"type": "page_location", "cited_text": "paged", "document_title": "title 2", "start_page_number": 1},
        {"type": "content_block_location", "cited_text": "blocked", "document_index": 0},
        {"type": "web_search_result_location", "cited_text": "found", "url": "https://u.example", "title": "T"}
        | {"encrypted_index": "SEALED"},
        {"type": "search_result_location", "cited_text": "searched", "source": "wiki", "title": "S"},
    ],
}

# block, the texts that may be edited by kind, the sealed ones
BLOCKS: list[tuple[dict[str, Any], dict[str, str], Sequence[str]]] = [
    ({"type": "text", "text": "hi"}, {"hi": "text"}, ()),
    (
        CITED,
        dict.fromkeys(("claim", "cited", "title", "paged", "blocked", "found", "searched", "wiki"), "text"),
        ("SEALED",),
    ),
    ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}, {}, ("AA",)),
    ({"type": "image", "source": URL}, {"https://u.example": "media"}, ()),
    ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, {}, ()),
    (
        {"type": "document", "title": "t", "context": "c", "source": {"type": "text", "data": "plain"}},
        {"t": "text", "c": "text", "plain": "text"},
        (),
    ),
    ({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "BB"}}, {}, ("BB",)),
    ({"type": "document", "source": {"type": "content", "content": "whole"}}, {"whole": "text"}, ()),
    (
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "in parts"}]}},
        {"in parts": "text"},
        (),
    ),
    ({"type": "document", "source": URL}, {"https://u.example": "text"}, ()),
    (
        {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "body"}]},
        {"t": "text", "s": "text", "body": "text"},
        (),
    ),
    ({"type": "thinking", "thinking": "hm", "signature": "SIG"}, {}, ("hm", "SIG")),
    ({"type": "thinking", "thinking": "", "signature": "SIG"}, {}, ("SIG",)),
    ({"type": "redacted_thinking", "data": "RED"}, {}, ("RED",)),
    (
        {"type": "tool_use", "id": "c1", "name": "Read", "input": {"path": ".env"}, "caller": {"type": "direct"}},
        {".env": "tool_call"},
        ("Read",),
    ),
    ({"type": "tool_result", "tool_use_id": "c1", "content": "out"}, {"out": "tool_result"}, ()),
    (
        {
            "type": "tool_result",
            "tool_use_id": "c1",
            "content": [
                {"type": "text", "text": "text"},
                {"type": "image", "source": {"type": "base64", "data": "AA"}},
                {"type": "document", "source": {"type": "text", "data": "page"}},
                {"type": "search_result", "title": "t", "content": [{"type": "text", "text": "body"}]},
                {"type": "tool_reference", "tool_name": "later"},
            ],
        },
        dict.fromkeys(("text", "page", "t", "body", "later"), "tool_result"),
        ("AA",),
    ),
    (
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
        {"q": "tool_call"},
        ("web_search",),
    ),
    (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s1",
            "content": [
                {
                    "type": "web_search_result",
                    "title": "T",
                    "url": "u",
                    "page_age": "old",
                    "encrypted_content": "SEALED",
                }
            ],
        },
        dict.fromkeys(("T", "u", "old"), "tool_result"),
        ("SEALED",),
    ),
    (
        {
            "type": "web_fetch_tool_result",
            "tool_use_id": "s1",
            "content": {
                "type": "web_fetch_result",
                "url": "u",
                "retrieved_at": "now",
                "content": {"type": "document", "title": "t", "source": {"type": "text", "data": "the page"}},
            },
        },
        dict.fromkeys(("u", "now", "t", "the page"), "tool_result"),
        (),
    ),
    (
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "s1",
            "content": {
                "type": "code_execution_result",
                "stdout": "out",
                "stderr": "err",
                "return_code": 0,
                "content": [{"type": "code_execution_output", "file_id": "file_1"}],
            },
        },
        {"out": "tool_result", "err": "tool_result"},
        (),
    ),
    (
        {
            "type": "code_execution_tool_result",
            "tool_use_id": "s1",
            "content": {"type": "encrypted_code_execution_result", "encrypted_stdout": "SEALED", "stderr": "err"},
        },
        {"err": "tool_result"},
        ("SEALED",),
    ),
    (
        {
            "type": "bash_code_execution_tool_result",
            "tool_use_id": "s1",
            "content": {"type": "bash_code_execution_result", "stdout": "out", "stderr": "err"},
        },
        {"out": "tool_result", "err": "tool_result"},
        (),
    ),
    *(
        (
            {"type": "text_editor_code_execution_tool_result", "tool_use_id": "s1", "content": content},
            dict.fromkeys(said, "tool_result"),
            (),
        )
        for content, said in (
            ({"type": "text_editor_code_execution_view_result", "content": "file", "file_type": "text"}, ("file",)),
            ({"type": "text_editor_code_execution_str_replace_result", "lines": ["-a", "+b"]}, ("-a", "+b")),
            ({"type": "text_editor_code_execution_create_result", "is_file_update": False}, ()),
            (
                {"type": "text_editor_code_execution_tool_result_error", "error_message": "no such file"},
                ("no such file",),
            ),
        )
    ),
    (
        {
            "type": "tool_search_tool_result",
            "tool_use_id": "s1",
            "content": {
                "type": "tool_search_tool_search_result",
                "tool_references": [{"type": "tool_reference", "tool_name": "found"}],
            },
        },
        {"found": "tool_result"},
        (),
    ),
    (
        {"type": "mcp_tool_use", "id": "m1", "name": "ask", "server_name": "wiki", "input": {"q": "x"}},
        {"x": "tool_call", "wiki": "tool_call"},
        ("ask",),
    ),
    ({"type": "mcp_tool_result", "tool_use_id": "m1", "content": "said"}, {"said": "tool_result"}, ()),
    (
        {"type": "mcp_tool_result", "tool_use_id": "m1", "content": [{"type": "text", "text": "said"}]},
        {"said": "tool_result"},
        (),
    ),
    (
        {"type": "advisor_tool_result", "tool_use_id": "s1", "content": {"type": "advisor_result", "text": "advice"}},
        {"advice": "tool_result"},
        (),
    ),
    (
        {
            "type": "advisor_tool_result",
            "tool_use_id": "s1",
            "content": {"type": "advisor_redacted_result", "encrypted_content": "SEALED"},
        },
        {},
        ("SEALED",),
    ),
    ({"type": "container_upload", "file_id": "file_1"}, {}, ()),
    ({"type": "compaction", "content": "summed up", "encrypted_content": "SEALED"}, {"summed up": "text"}, ("SEALED",)),
    ({"type": "compaction", "content": None}, {}, ()),
    (
        {
            "type": "fallback",
            "from": {"model": "a"},
            "to": {"model": "b"},
            "trigger": {"type": "refusal", "category": "x"},
        },
        {"x": "text"},
        (),
    ),
    (
        {"type": "tool_addition", "tool": {"name": "Added", "description": "adds"}},
        {"Added": "tool_definition", "adds": "tool_definition"},
        (),
    ),
    (
        {"type": "tool_removal", "tool": {"type": "tool_reference", "tool_name": "Gone"}},
        {"Gone": "tool_definition"},
        (),
    ),
    ({"type": "mid_conv_system", "content": [{"type": "text", "text": "now"}]}, {"now": "text"}, ()),
    ({"type": "of_tomorrow", "body": {"deep": ["text"]}, "signature": "SIG"}, {}, ("SIG",)),
]


def _name(case: tuple[dict[str, Any], Any, Any]) -> str:
    return str(case[0]["type"])


@pytest.mark.parametrize(("block", "said", "sealed"), BLOCKS, ids=map(_name, BLOCKS))
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_block_of_a_request(block: Any, said: dict[str, str], sealed: Sequence[str], role: str) -> None:
    document = {"messages": [{"role": role, "content": [block]}]}
    request = CODEC.read_request(document)
    assert recorded.unread(document, request) == []
    parts = {part.text: part for part in request.parts if not isinstance(part.path[-1], Key)}
    assert {text: parts[text].kind for text in said} == said
    assert not any(parts[text].sealed for text in said)
    assert all(parts[text].sealed for text in sealed)


@pytest.mark.parametrize(("block", "said", "sealed"), BLOCKS, ids=map(_name, BLOCKS))
def test_a_block_of_an_answer(block: Any, said: dict[str, str], sealed: Sequence[str]) -> None:
    response = CODEC.read_response({"content": [block]})
    parts = {part.text: part for part in response.parts if not isinstance(part.path[-1], Key)}
    assert {text: parts[text].kind for text in said} == said
    assert all(parts[text].sealed for text in sealed)


@pytest.mark.parametrize(("block", "said", "sealed"), BLOCKS, ids=map(_name, BLOCKS))
def test_a_block_that_is_whole_in_its_start(block: Any, said: dict[str, str], sealed: Sequence[str]) -> None:
    """Trap (a): no deltas follow for most; and trap (b): the same in `message_start`."""
    given = {"type": "content_block_start", "index": 0, "content_block": block}
    message = {"type": "message_start", "message": {"role": "assistant", "content": [block]}}
    for event in (given, message):
        reading = CODEC.stream_reader().read(event)
        holder = Response(None, [], when_edited=[(0, change) for _, change in reading.when_edited])
        spoken = {fragment.text: fragment.channel for fragment in reading.fragments}
        assert said.keys() <= spoken.keys()
        hidden = [text for text in sealed if text in spoken]
        assert all(spoken[text] in reading.sealed for text in hidden)
        assert {text for text in sealed if text not in spoken} <= {str(block.get("name"))}
        assert recorded.misplaced(event, holder) == []


def test_calls_of_providers_are_told() -> None:
    content = [block for block, _, _ in BLOCKS if block["type"] in ("tool_use", "server_tool_use", "mcp_tool_use")]
    expected = [("c1", "Read", False, None), ("s1", "web_search", True, None), ("m1", "ask", True, "wiki")]
    response = CODEC.read_response({"content": content})
    assert [(call.call_id, call.name, call.by_provider, call.server) for call in response.calls] == expected
    events = [{"type": "content_block_start", "index": i, "content_block": each} for i, each in enumerate(content)]
    for raw in (
        stream(*events, named=True),
        stream({"type": "message_start", "message": {"content": content}}, named=True),
    ):
        opens = [opened for _, _, reading in readings(CODEC, raw) for opened in reading.opens]
        assert [(each.call_id, each.name, each.by_provider, each.server) for each in opens] == expected
        assert [each.arguments for each in opens] == [{"path": ".env"}, {"query": "q"}, {"q": "x"}]
    assert CODEC.read_request({"messages": [{"role": "assistant", "content": content}]}).calls["s1"][0] == "web_search"


RESULTS = [
    {"type": "server_tool_use", "id": "s1", "name": "bash_code_execution", "input": {"command": "ls"}},
    {
        "type": "bash_code_execution_tool_result",
        "tool_use_id": "s1",
        "content": {"type": "bash_code_execution_result", "stdout": "files", "encrypted_stdout": "SEALED"},
    },
    {"type": "web_search_tool_result", "tool_use_id": "gone", "content": {"type": "web_search_tool_result_error"}},
    {"type": "tool_result", "tool_use_id": "c1"},
]


def test_results_of_providers_are_told() -> None:
    whole = CODEC.read_response({"content": RESULTS})
    history = CODEC.read_request({"messages": [{"role": "assistant", "content": RESULTS}, {"role": "user"}]})
    for read in (whole, history):
        assert [(result.call_id, result.name, result.is_error) for result in read.results] == [
            ("s1", "bash_code_execution", False),
            ("gone", "", True),
        ]
    events = [{"type": "content_block_start", "index": i, "content_block": each} for i, each in enumerate(RESULTS)]
    told = [reading for _, _, reading in readings(CODEC, stream(*events, named=True)) if reading.results]
    assert [reading.results[0].call_id for reading in told] == ["s1", "gone"]
    assert [[reading.fragments[i].text for i in reading.results[0].parts] for reading in told] == [["files"], []]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("tool_result", "NO"),
        ("mcp_tool_result", "NO"),
        ("web_search_tool_result", {"type": "web_search_tool_result_error", "error_code": "unavailable"}),
        ("web_fetch_tool_result", {"type": "web_fetch_tool_result_error", "error_code": "unavailable"}),
        (
            "tool_search_tool_result",
            {"type": "tool_search_tool_result_error", "error_code": "unavailable", "error_message": "NO"},
        ),
    ],
)
def test_a_denied_result_has_its_block_s_own_shape(kind: str, expected: Any) -> None:
    document = {"messages": [{"role": "user", "content": [{"type": kind, "tool_use_id": "t", "content": ["x"]}]}]}
    (result,) = CODEC.read_request(document).results
    out = orjson.loads(splice(orjson.dumps(document), CODEC.deny_result(document, result, "NO")))
    assert out["messages"][0]["content"][0]["content"] == expected


def test_a_call_of_the_provider_keeps_no_stop_reason() -> None:
    document = {
        "content": [
            {"type": "server_tool_use", "id": "s", "name": "w", "input": {}},
            {"type": "tool_use", "id": "c", "name": "f", "input": {}},
        ],
        "stop_reason": "tool_use",
    }
    cut = CODEC.cut_calls(document, CODEC.read_response(document), {1: "NO"})
    assert orjson.loads(splice(orjson.dumps(document), cut))["stop_reason"] == "end_turn"
    starts = [
        {"type": "content_block_start", "index": i, "content_block": b} for i, b in enumerate(document["content"])
    ]
    stops = [{"type": "content_block_stop", "index": i} for i in (0, 1)]
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}
    raw = stream(*starts, *stops, end, named=True)
    assert messages_message(rewritten(CODEC, raw, {("tool_call", 1): "NO"}))["stop"] == "end_turn"


def test_a_new_tool_is_offered() -> None:
    blocks = [block for block, _, _ in BLOCKS if block["type"] == "tool_addition"]
    reference = {"type": "tool_addition", "tool": {"type": "tool_reference", "tool_name": "Later"}}
    request = CODEC.read_request(
        {"tools": [{"name": "A"}], "messages": [{"role": "system", "content": [*blocks, reference]}]}
    )
    assert list(request.tools) == ["A", "Added", "Later"]


@pytest.mark.parametrize(
    ("edits", "compacts"),
    [
        ([{"type": "compact_20260112", "instructions": "be brief"}], True),
        ([{"type": "clear_tool_uses_20250919"}], False),
        ("compact_20260112", False),
        ([5, {"type": 5}], False),
    ],
)
def test_compaction_is_told(edits: Any, compacts: bool) -> None:
    document = {"context_management": {"edits": edits}}
    request = CODEC.read_request(document)
    assert request.compacts is compacts
    assert recorded.unread(document, request) == []


REQUEST: dict[str, Any] = {
    "system": [{"type": "text", "text": "sys", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [{"name": "f", "description": "d", "input_schema": {"title": "t"}, "input_examples": [{"p": "example"}]}],
    "mcp_servers": [{"url": "https://m.example", "authorization_token": "credential", "name": "wiki"}],
    "stop_sequences": ["STOP"],
    "metadata": {"user_id": "u"},
    "container": "container_1",
    "output_config": {"format": {"type": "json_schema", "schema": {"description": "shape"}}},
    "context_management": {"edits": [{"type": "compact_20260112", "instructions": "briefly"}]},
}


def test_what_else_a_request_says() -> None:
    request = CODEC.read_request(REQUEST)
    assert recorded.unread(REQUEST, request) == []
    parts = {part.text for part in request.parts if not part.sealed}
    assert {"example", "https://m.example", "credential", "STOP", "u", "shape", "briefly"} <= parts


# deltas


def begun(kind: str, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": 0, "content_block": {"type": kind} | block}


def delta(kind: str, **what: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind} | what}


STOP = {"type": "content_block_stop", "index": 0}


@pytest.mark.parametrize(
    ("start", "deltas", "said", "sealed"),
    [
        (begun("text", text=""), [delta("text_delta", text="a"), delta("text_delta", text="b")], "ab", False),
        (begun("text", text="a"), [delta("text_delta", text="b")], "ab", False),
        (
            begun("thinking", thinking="", signature=""),
            [delta("thinking_delta", thinking="hm"), delta("signature_delta", signature="SIG")],
            "hm",
            True,
        ),
        (begun("thinking", thinking="h"), [delta("thinking_delta", thinking="m")], "hm", True),
        (begun("compaction", content=None), [delta("compaction_delta", content="sum")], "sum", False),
        (
            begun("compaction", content=None, encrypted_content=None),
            [delta("compaction_delta", content="sum", encrypted_content="SEALED")],
            "sum",
            False,
        ),
        *(
            (
                begun(kind, id="c", name="f", input={}),
                [delta("input_json_delta", partial_json=piece) for piece in ("", '{"p":"\\u00', 'e9"}')],
                '{"p":"\\u00e9"}',
                False,
            )
            for kind in ("tool_use", "server_tool_use", "mcp_tool_use")
        ),
        (begun("of_tomorrow"), [delta("tomorrow_delta", body="a"), delta("tomorrow_delta", body="b")], "ab", False),
    ],
)
def test_deltas_let_a_text_grow(start: Any, deltas: Any, said: str, sealed: bool) -> None:
    raw = stream(start, *deltas, STOP, named=True)
    (channel,) = [channel for channel, text in texts(CODEC, raw).items() if "once" not in channel]
    assert texts(CODEC, raw)[channel] == said
    read = [reading for _, _, reading in readings(CODEC, raw)]
    assert any(channel in reading.sealed for reading in read) is sealed
    assert channel in read[-2].closes


@pytest.mark.parametrize(
    ("event", "said", "sealed"),
    [
        (delta("signature_delta", signature="SIG"), ["SIG"], True),
        (delta("compaction_delta", content=None, encrypted_content="SEALED"), ["SEALED"], True),
        (delta("citations_delta", citation=CITED["citations"][1]), ["paged", "title 2"], False),
        (
            {
                "type": "message_delta",
                "delta": {
                    "stop_reason": "refusal",
                    "stop_details": {"type": "refusal", "category": "c", "explanation": "why"},
                    "container": {"id": "container_1", "expires_at": "soon"},
                },
                "context_management": {"applied_edits": [{"type": "clear", "note": "n"}]},
            },
            ["refusal", "c", "why", "soon", "n"],
            False,
        ),
    ],
)
def test_what_is_whole_in_an_event(event: Any, said: list[str], sealed: bool) -> None:
    """Trap (c) among them: `message_delta` carries more than the stop reason."""
    reading = CODEC.stream_reader().read(event)
    spoken = [fragment.text for fragment in reading.fragments]
    assert [text for text in spoken if text != "refusal"] == [text for text in said if text != "refusal"]
    assert bool(reading.sealed) is sealed


def test_a_message_that_begins_again_is_another() -> None:
    """Trap (d): a gateway that falls back to another provider begins anew in the middle of a call."""
    first = [
        {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "c1", "name": "f"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"p":"Sp'}},
    ]
    second = [
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "c2", "name": "f"}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    ]
    read = [reading for _, _, reading in readings(CODEC, stream(*first, *second, named=True))]
    assert list(read[5].closes) == [("tool_call", 1)]
    again = ("tool_call", 1, "again", 1)
    assert [(each.call_id, each.channel) for reading in read for each in reading.opens] == [
        ("c1", ("tool_call", 1)),
        ("c2", again),
    ]
    assert list(read[-2].calls) == [again]
    assert not next(each for reading in read for each in reading.opens if each.call_id == "c2").after_text


def test_a_start_that_is_told_twice_says_nothing_twice() -> None:
    twice = {"type": "message_start", "message": {"content": []}}
    text = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hello"}}
    assert texts(CODEC, stream(twice, twice, text, STOP, named=True)) == {("text", 0): "Hello"}


# batches and counting


BATCH: dict[str, Any] = {
    "requests": [
        {"custom_id": "one", "params": {"model": "m", "max_tokens": 5} | REQUEST},
        {
            "custom_id": "two",
            "params": {
                "model": "m",
                "max_tokens": 7,
                "messages": [
                    {"role": "assistant", "content": [BLOCKS[14][0]]},
                    {"role": "user", "content": [BLOCKS[15][0]]},
                ],
            },
        },
    ]
}


def test_a_batch_is_read_request_by_request() -> None:
    request = anthropic.BATCHES.read_request(BATCH)
    assert recorded.unread(BATCH, request) == []
    assert recorded.misplaced(BATCH, request) == []
    assert (request.model, request.max_output, request.turn, list(request.tools)) == ("m", 12, 1, ["f"])
    (result,) = request.results
    assert (result.name, result.content) == ("Read", ("requests", 1, "params", "messages", 1, "content", 0, "content"))
    assert [request.parts[i].text for i in result.parts] == ["out"]
    denied = splice(orjson.dumps(BATCH), anthropic.BATCHES.deny_result(BATCH, result, "NO"))
    assert orjson.loads(denied)["requests"][1]["params"]["messages"][1]["content"][0]["content"] == "NO"
    said = {part.text: part for part in request.parts}
    assert said["one"].sealed
    assert (said["out"].kind, said["sys"].role) == ("tool_result", "system")


def test_context_goes_into_every_request_of_a_batch() -> None:
    out = orjson.loads(splice(orjson.dumps(BATCH), anthropic.BATCHES.inject(BATCH, "X")))
    assert out["requests"][0]["params"]["messages"][0]["content"] == "hi\n\nX"
    assert out["requests"][1]["params"]["messages"][1]["content"][-1] == {"type": "text", "text": "X"}


LINE: dict[str, Any] = {
    "custom_id": "one",
    "result": {
        "type": "succeeded",
        "message": {
            "model": "m",
            "content": [{"type": "text", "text": "see"}, *(block for block, _, _ in BLOCKS[14:16])],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 3, "output_tokens": 4},
        },
    },
}


def test_a_result_of_a_batch_is_an_answer() -> None:
    response = anthropic.BATCHES.read_response(LINE)
    assert recorded.unread(LINE, response) == []
    assert recorded.misplaced(LINE, response) == []
    assert response.usage is not None
    assert (response.model, response.stop_reason, response.usage.output) == ("m", "tool_use", 4)
    assert [response.parts[i].text for i in response.results[0].parts] == ["out"]
    cut = splice(orjson.dumps(LINE), anthropic.BATCHES.cut_calls(LINE, response, {0: "NO"}))
    message = orjson.loads(cut)["result"]["message"]
    assert message["content"][1] == {"type": "text", "text": "NO"}
    assert message["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    "document",
    [
        {"id": "msgbatch_1", "type": "message_batch", "results_url": "https://r.example", "created_at": "now"},
        {"custom_id": "x", "result": {"type": "errored", "error": {"error": {"type": "e", "message": "m"}}}},
        {"custom_id": "x", "result": {"type": "expired"}},
        {"custom_id": "x", "result": "odd"},
        "odd",
        ["odd"],
        {"requests": "odd"},
        {"requests": ["odd", {"params": "odd", "more": "odd"}, None]},
    ],
)
def test_what_else_a_batch_says(document: Any) -> None:
    for read in (anthropic.BATCHES.read_response(document), anthropic.BATCHES.read_request(document)):
        assert recorded.unread(document, read) == []
        assert len({part.path for part in read.parts}) == len(read.parts)


def test_counting_tokens_spends_nothing() -> None:
    assert not anthropic.COUNT.is_model
    assert anthropic.COUNT.read_request(REQUEST).parts[0].text == "sys"


@pytest.mark.parametrize(
    ("method", "path", "codec"),
    [
        ("POST", "/v1/messages/count_tokens", anthropic.COUNT),
        ("POST", "/v1/messages/batches", anthropic.BATCHES),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel", anthropic.BATCH_RESULTS),
        ("GET", "/v1/messages/batches/msgbatch_1", anthropic.BATCH_RESULTS),
        ("GET", "/v1/messages/batches/msgbatch_1/results", anthropic.BATCH_RESULTS),
    ],
)
def test_paths(method: str, path: str, codec: Any) -> None:
    route = providers.match("api.anthropic.com", method, path)
    assert route is not None
    assert providers.codec(route.codec) is codec


# anything


EVERY = {
    "messages": [{"role": "assistant", "content": [block for block, _, _ in BLOCKS]}, {"role": "user", "content": "x"}]
} | REQUEST
ANSWER = {
    "model": "m",
    "content": [block for block, _, _ in BLOCKS],
    "stop_reason": "end_turn",
    "usage": {"output_tokens": 1},
}


@given(st.data())
def test_any_json_in_any_place(data: st.DataObject) -> None:
    value = data.draw(documents.ANY_JSON)
    for document, read in ((EVERY, CODEC.read_request), (ANSWER, CODEC.read_response)):
        changed = documents.put(document, data.draw(st.sampled_from(documents.places(document))), value)
        found = read(changed)
        assert documents.unread(changed, found) == []
        assert documents.misplaced(changed, [(part.path, part.text) for part in found.parts]) == []


EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": ANSWER},
    begun("text", text=""),
    delta("text_delta", text="a"),
    delta("citations_delta", citation=CITED["citations"][0]),
    STOP,
    begun("tool_use", id="c", name="f", input={"p": "x"}),
    delta("input_json_delta", partial_json="{"),
    begun("thinking", thinking="hm", signature="S"),
    delta("signature_delta", signature="S"),
    delta("compaction_delta", content="c", encrypted_content="E"),
    *({"type": "content_block_start", "index": 0, "content_block": block} for block, _, _ in BLOCKS),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "container": {"id": "c"}}, "usage": {"x": "y"}},
    {"type": "message_stop"},
    {"type": "error", "error": {"type": "e", "message": "m"}},
]


@given(st.data())
def test_any_json_in_any_place_of_a_stream(data: st.DataObject) -> None:
    value = data.draw(documents.ANY_JSON)
    at = data.draw(st.integers(0, len(EVENTS) - 1))
    place = data.draw(st.sampled_from(documents.places(EVENTS[at])))
    events = [documents.put(event, place, value) if index == at else event for index, event in enumerate(EVENTS)]
    reader, writer = CODEC.stream_reader(), CODEC.stream_writer()
    for event in events:
        reading = reader.read(event)
        fragments = [(fragment.path, fragment.text) for fragment in reading.fragments]
        assert documents.misplaced(event, fragments) == []
        spoken = {path for path, _ in fragments} | {(*path, "name") for path, _ in reading.entries}
        assert [
            path for path in documents.unsaid(event, reading) if path not in spoken and path[-1:] != ("stop_reason",)
        ] == []
        raw = orjson.dumps(event)
        frame = Frame(raw, None, raw)
        writer.rewrite(
            frame, event, reading, {opened.channel: "NO" for opened in reading.opens if not opened.by_provider}
        )
    reader.finish()
