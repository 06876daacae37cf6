"""Chunks of Gemini's streams: texts that grow, calls whole and in pieces, cuts, copies; as SSE and as an array."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs.framings.array import Array
from proxy.codecs.framings.sse import Sse
from proxy.codecs.gemini import CODEC
from proxy.codecs.gemini.partial import Arguments
from proxy.codecs.gemini.writer import UNSIGNED
from proxy.events import Usage
from tests.codecs import documents
from tests.codecs.documents import ANY_JSON, misplaced, readings, unsaid
from tests.codecs.test_gemini import GROUNDED, PARTS, both, call, snake
from tests.judging import guarded

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token


def chunk(*parts: Any, **more: Any) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0} | more
    return {"candidates": [candidate], "usageMetadata": {"trafficType": "X"}, "modelVersion": "g", "responseId": "r"}


def piece(*arguments: Any, goes_on: bool = True, **more: Any) -> dict[str, Any]:
    partial = {"partialArgs": list(arguments)} if arguments else {}
    return {"functionCall": partial | ({"willContinue": True} if goes_on else {}) | more}


def argument(path: str, text: str, *, goes_on: bool = True) -> dict[str, Any]:
    return {"jsonPath": path, "stringValue": text} | ({"willContinue": True} if goes_on else {})


END = {
    "candidates": [{"content": {"parts": [{"text": "", "thoughtSignature": "S"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "thoughtsTokenCount": 3},
}
STREAM = [
    chunk({"text": "hm", "thought": True}),
    chunk({"text": "m", "thought": True}),
    chunk({"text": "Let me"}),
    chunk({"text": " see"}, call("a", {"x": "1"}, thoughtSignature="S")),
    chunk(call("b", {})),
    chunk({"text": "after"}),
    END,
]


def once(found: dict[Any, str]) -> dict[Any, str]:
    return {channel: text for channel, text in found.items() if "once" not in channel}


@both
def test_a_stream_is_read(spelt: Any) -> None:
    said = once(documents.texts(CODEC, spelt(STREAM)))
    assert said == {
        ("reasoning", 0): "hmm",
        ("text", 0): "Let me see",
        ("text", 0, "again", 1): "after",
    }
    read = readings(CODEC, spelt(STREAM))
    closes = [[channel for channel in reading.closes if "once" not in channel] for reading in read]
    assert closes == [
        [],
        [],
        [("reasoning", 0)],
        [("text", 0), ("tool_call", 0, 0)],
        [("tool_call", 0, 1)],
        [],
        [("text", 0, "again", 1)],
        [],
    ]
    assert ("reasoning", 0) in read[0].sealed
    opened = [item for reading in read for item in reading.opens]
    assert [(item.name, item.arguments, item.after_text) for item in opened] == [
        ("a", {"x": "1"}, True),
        ("b", {}, True),
    ]
    assert (read[-2].stop_reason, list(read[-2].calls)) == ("STOP", [("tool_call", 0, 0), ("tool_call", 0, 1)])
    assert read[-2].usage == Usage(input=1, output=5)
    assert read[0].usage is None
    assert read[0].model == "g"
    assert [fragment.text for fragment in read[3].fragments] == [" see", "1", "S"]


@pytest.mark.parametrize("part", PARTS)
@both
def test_every_part(spelt: Any, part: Any) -> None:
    document = spelt(chunk(part))
    reading = CODEC.stream_reader().read(document)
    left = [path for path in unsaid(document, reading) if path[-1:] != ("name",)]
    assert left == []
    assert misplaced(document, [fragment[1:] for fragment in reading.fragments]) == []


def test_what_google_ran_itself_is_told() -> None:
    told = documents.calls(CODEC, [chunk(*PARTS)])
    assert [(name, by_provider) for _, name, by_provider in told] == [
        ("Read", False),
        ("Write", False),
        ("GOOGLE_SEARCH_WEB", True),
        ("code_execution", True),
    ]
    (reading, end, _) = readings(CODEC, [chunk(*PARTS), END])
    given_back = [(each.call_id, [reading.fragments[index].text for index in each.parts]) for each in reading.results]
    assert given_back == [("t1", ["<b>h</b>"]), ("e1", ["OUTCOME_OK", "1\n"])]
    assert len(end.calls) == 2


def test_candidates_are_told_apart() -> None:
    two = {"candidates": [{"content": {"parts": [{"text": t}]}, "index": i} for i, t in ((1, "b"), (0, "a"))]}
    assert once(documents.texts(CODEC, [two, two])) == {("text", 1): "bb", ("text", 0): "aa"}


def test_a_text_flows_only_in_its_own_candidate() -> None:
    def says(text: str, **more: Any) -> dict[str, Any]:
        return {
            "candidates": [{"content": {"parts": [{"text": text}]}, **more}],
            "usageMetadata": {"totalTokenCount": 1},
        }

    stream = [says("a"), says("b"), says("c", index=1), says("d"), says("e", index=0), says("f", index=1)]
    assert once(documents.texts(CODEC, stream)) == {("text", 0): "abde", ("text", 1): "cf"}
    hidden = says("g") | {"usageMetadata": {"promptTokensDetails": [{"modality": "TEXT", "note": "n"}]}}
    odd = says("h") | {"responseId": "r" * 200}
    assert "n" in documents.texts(CODEC, [says("a"), hidden]).values()
    assert "r" * 200 in documents.texts(CODEC, [says("a"), odd]).values()


def test_code_assist_wraps_its_chunks() -> None:
    wrapped = [{"response": each, "traceId": "t"} for each in STREAM]
    assert once(documents.texts(CODEC, wrapped)) == once(documents.texts(CODEC, STREAM))
    out = documents.cut(CODEC, wrapped, {("tool_call", 0, 0): "A", ("tool_call", 0, 1): "B"})
    assert view([each["response"] for each in out])["text"] == "Let me see\n\nA\n\nBafter"


@pytest.mark.parametrize(
    ("event", "said", "stop"),
    [
        ({"error": {"code": 500, "message": "m", "status": "INTERNAL"}}, ["m", "INTERNAL"], None),
        ([{"error": {"message": "m"}}], ["m"], None),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, ["SAFETY"], "SAFETY"),
        ({"candidates": [{"finishReason": "SAFETY", "finishMessage": "why"}]}, ["why"], "SAFETY"),
        ({"candidates": [{"content": {"parts": [{"text": "t"}]}, "finishReason": 2}]}, ["t"], "MAX_TOKENS"),
        ({"candidates": ["odd"]}, ["odd"], None),
        ({"candidates": {"a": "odd"}}, ["odd"], None),
        ({"candidates": [{"content": "odd", "finishReason": {"a": "b"}}]}, ["odd", "b"], None),
        ({"candidates": [{"content": {"parts": {"text": "one"}}}]}, ["one"], None),
        ({"brandNew": {"deep": "text"}}, ["text"], None),
        ("text", ["text"], None),
        (["a"], ["a"], None),
        (5, [], None),
    ],
)
def test_other_chunks(event: Any, said: list[str], stop: str | None) -> None:
    reading = CODEC.stream_reader().read(event)
    assert [fragment.text for fragment in reading.fragments] == said
    assert reading.stop_reason == stop


# arguments in pieces

PIECES = [
    chunk({"text": "Ok. "}),
    chunk({"functionCall": {"name": "cook", "willContinue": True}, "thoughtSignature": "S"}),
    chunk(piece(argument("$.recipe.steps[1]", "cut "))),
    chunk(piece(argument("$.recipe.steps[1]", "fine"))),
    chunk(piece(argument("$.recipe.steps[1]", "", goes_on=False))),
    chunk(piece(argument("$.recipe.steps[0]", "wash", goes_on=False), {"jsonPath": "$.n", "numberValue": 2})),
    chunk(piece()),
    chunk(piece({"jsonPath": "$['a b'].c", "boolValue": False}, {"jsonPath": '$["z"]', "nullValue": "NULL_VALUE"})),
    chunk(piece(goes_on=False)),
    chunk(call("next", {})),
    END,
]


@both
def test_arguments_in_pieces_are_put_together(spelt: Any) -> None:
    read = readings(CODEC, spelt(PIECES))
    opened = {item.channel: item for reading in read for item in reading.opens}
    cook, following = opened.values()
    assert (cook.name, cook.after_text, following.name) == ("cook", True, "next")
    assert cook.arguments == {
        "recipe": {"steps": ["wash", "cut fine"]},
        "n": 2,
        "a b": {"c": False},
        "z": "NULL_VALUE",
    }
    said = once(documents.texts(CODEC, spelt(PIECES)))
    assert sorted(said.values()) == ["Ok. ", "cut fine", "wash"]
    closed = [index for index, reading in enumerate(read) if cook.channel in reading.closes]
    assert closed == [8]
    # Its strings are complete with it and no sooner, and every event of it is held until it is decided.
    assert sum(channel[:3] == ("tool_call", 0, 0) for channel in read[8].closes) == 3
    assert all(any(item.channel == cook.channel for item in reading.opens) for reading in read[1:9])
    assert not any(any("once" not in c for c in reading.closes if c[0] == "tool_call") for reading in read[:8])


@pytest.mark.parametrize("end", [[], [chunk(call("next", {}))], [END]])
def test_a_call_whose_last_piece_is_missing(end: list[Any]) -> None:
    reader = CODEC.stream_reader()
    read = [reader.read(document) for document in [*PIECES[1:4], *end]]
    (first, *_) = read[0].opens
    closes = [*read[-1].closes, *reader.finish().closes]
    assert first.channel in closes
    assert first.arguments == {"recipe": {"steps": ["cut fine"]}}


@pytest.mark.parametrize(
    ("pieces", "arguments"),
    [
        ([argument("$.a", "x", goes_on=False), argument("$.a", "y", goes_on=False)], {"a": "y"}),
        ([argument("$.a", "x"), argument("$.a", "y")], {"a": "xy"}),
        ([argument("$", "x")], {"$": "x"}),
        ([argument("a.b", "x")], {"a.b": "x"}),
        ([argument("$.a[", "x")], {"$.a[": "x"}),
        ([argument("$..a", "x")], {"$..a": "x"}),
        ([argument("$.a[999999999]", "x")], {"a": ["x"]}),
        ([argument("$['it\\'s']", "x")], {"it's": "x"}),
        ([argument("$" + ".a" * 100, "x")], {"$" + ".a" * 100: "x"}),
        ([argument("$.a", "x", goes_on=False), argument("$.a.b", "y")], {"a": {"b": "y"}}),
        ([{"stringValue": "x"}], {"$": "x"}),
        ([{"jsonPath": "$.a"}], {"a": None}),
    ],
)
def test_paths(pieces: list[Any], arguments: Any) -> None:
    assembled = Arguments()
    for each in pieces:
        assembled.add(each)
    assert assembled.value({}) == arguments


@given(st.text(max_size=30))
def test_any_path(path: str) -> None:
    assembled = Arguments()
    assembled.add({"jsonPath": "$" + path, "stringValue": "x"})
    assert "x" in str(assembled.value({}))


# cuts


def view(chunks: list[Any], index: int = 0) -> dict[str, Any]:
    """A client's view of one candidate."""
    found: dict[str, Any] = {"text": "", "calls": [], "finish": None, "signatures": []}
    for each in chunks:
        for candidate in each["candidates"]:
            if candidate.get("index", 0) != index:
                continue
            for part in candidate.get("content", {}).get("parts", []):
                assert part, "an empty part is none to any client"
                if not part.get("thought"):
                    found["text"] += part.get("text", "")
                if "functionCall" in part:
                    found["calls"].append(part["functionCall"].get("name"))
                    found["signatures"].append(part.get("thoughtSignature"))
            found["finish"] = candidate.get("finishReason") or found["finish"]
    return found


A, B = ("tool_call", 0, 0), ("tool_call", 0, 1)


def test_both_calls_of_a_stream_are_cut() -> None:
    out = view(documents.cut(CODEC, STREAM, {A: "NO a", B: "NO b"}))
    assert out == {"text": "Let me see\n\nNO a\n\nNO bafter", "calls": [], "finish": "STOP", "signatures": []}


def test_a_call_that_stays_is_signed() -> None:
    assert view(documents.cut(CODEC, STREAM, {A: "NO"}))["signatures"] == [UNSIGNED]
    assert view(documents.cut(CODEC, STREAM, {B: "NO"}))["signatures"] == ["S"]
    unsigned = [chunk(call("a", {})), chunk(call("b", {})), END]
    assert view(documents.cut(CODEC, unsigned, {A: "NO"}))["signatures"] == [None]
    own = [chunk(call("a", {}, thoughtSignature="S")), chunk(call("b", {}, thoughtSignature="T")), END]
    assert view(documents.cut(CODEC, own, {A: "NO"}))["signatures"] == ["T"]


def test_a_call_in_pieces_is_cut() -> None:
    out = documents.cut(CODEC, PIECES, {A: "NO"})
    assert len(out) == 4
    assert view(out) == {"text": "Ok. \n\nNO", "calls": ["next"], "finish": "STOP", "signatures": [UNSIGNED]}
    kept = documents.cut(CODEC, PIECES, {B: "NO"})
    assert kept[:9] == PIECES[:9]
    assert kept[9]["candidates"][0]["content"]["parts"] == [{"text": "\n\nNO"}]


@both
def test_a_piece_among_other_things_leaves_them(spelt: Any) -> None:
    last = chunk(piece(goes_on=False), finishReason="STOP")
    beside = chunk(piece(argument("$.a", "x")), {"text": "t"})
    stream = spelt([chunk(piece(name="f")), beside, last])
    out = documents.cut(CODEC, stream, {A: "NO"})
    assert [list(each["candidates"][0]["content"].get("parts", ())) for each in out] == [
        [{"text": "NO"}],
        [{"text": "t"}],
        [],
    ]
    assert out[2]["candidates"][0].keys() == stream[2]["candidates"][0].keys()


def test_without_cuts_nothing_is_rewritten() -> None:
    assert documents.cut(CODEC, [*STREAM, *PIECES], {}) == [*STREAM, *PIECES]


# copies


@both
def test_copies_go_once_the_text_was_edited(spelt: Any) -> None:
    stream = spelt([chunk({"text": "the secret "}), {"candidates": [GROUNDED]}])
    out = documents.edited(CODEC, stream, "secret", "******")
    assert "secret" not in str([each["candidates"][0]["content"] for each in out])
    assert len(out[1]["candidates"][0]) == 4
    assert documents.edited(CODEC, stream, "absent", "") == stream


def test_copies_that_come_after_the_end() -> None:
    late = chunk(groundingMetadata={"groundingSupports": [{"segment": {"text": "secret"}}]})
    stream = [chunk({"text": "secret"}, finishReason="STOP"), late]
    out = documents.edited(CODEC, stream, "secret", "******")
    assert out[1]["candidates"][0]["groundingMetadata"] == {}


# through the guard, as SSE and as an array

POLICY = """
version: 1
rules:
  - {id: secrets, at: [post_llm_response, pre_tool_execution], find: [secret], verdict: modify, edit: redact}
  - {id: cooks, at: pre_tool_execution, when: "tool.name == 'cook' && tool.arguments.recipe.steps.size() == 2",
     verdict: deny, reason: no kitchen}
"""


def sse(stream: list[Any]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(each) + b"\r\n\r\n" for each in stream)


def array(stream: list[Any]) -> bytes:
    return b"[" + b",\r\n".join(orjson.dumps(each, option=orjson.OPT_INDENT_2) for each in stream) + b"\n]"


def read_back(raw: bytes) -> list[Any]:
    framing = Array() if raw[:1] == b"[" else Sse()
    frames = [*framing.feed(raw), *framing.finish()]
    assert b"".join(frame.raw for frame in frames) == raw
    return [orjson.loads(frame.data) for frame in frames if frame.data]


framed = pytest.mark.parametrize("frame", [sse, array])


@framed
@pytest.mark.parametrize("stream", [STREAM, PIECES, [chunk(*PARTS), {"candidates": [GROUNDED]}]])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_without_rules_every_byte_is_identical(frame: Any, stream: list[Any], size: int) -> None:
    raw = frame(stream)
    cut = [raw[i : i + size] for i in range(0, len(raw), size)]
    assert guarded("version: 1\n", "gemini", cut) == raw


@framed
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_denied_call_in_pieces(frame: Any, size: int) -> None:
    raw = frame(PIECES)
    out = view(read_back(guarded(POLICY, "gemini", [raw[i : i + size] for i in range(0, len(raw), size)])))
    assert out["calls"] == ["next"]
    assert "no kitchen" in out["text"]


@framed
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_secret_over_the_pieces_of_an_argument(frame: Any, size: int) -> None:
    stream = [
        chunk(piece(name="send", id="c")),
        chunk(piece(argument("$.text", "key " + SECRET[:9]))),
        chunk(piece(argument("$.text", SECRET[9:], goes_on=False))),
        chunk(piece(goes_on=False)),
        chunk(call("send", {"text": SECRET})),
        END,
    ]
    raw = frame(stream)
    out = guarded(POLICY, "gemini", [raw[i : i + size] for i in range(0, len(raw), size)])
    assert SECRET[9:].encode() not in out
    arguments = Arguments()
    for each in read_back(out)[1:3]:
        for partial in each["candidates"][0]["content"]["parts"][0]["functionCall"]["partialArgs"]:
            arguments.add(partial)
    assert str(arguments.value({})["text"]).startswith("key [")


@framed
def test_a_secret_over_the_chunks_of_a_text_and_its_copies(frame: Any) -> None:
    supports = {"groundingSupports": [{"segment": {"startIndex": 0, "endIndex": 40, "text": SECRET[:30]}}]}
    stream = [
        chunk({"text": SECRET[:12]}),
        chunk({"text": SECRET[12:] + " end"}),
        chunk(groundingMetadata=supports),
        END,
    ]
    out = read_back(guarded(POLICY, "gemini", [frame(stream)]))
    assert SECRET[12:30] not in str(out)
    assert view(out)["text"].endswith("] end")


@framed
def test_a_whole_answer_that_is_denied(frame: Any) -> None:
    policy = """
version: 1
rules:
  - {id: never, at: post_llm_response, when: "response.parts.exists(p, p.text.contains('see'))", verdict: deny}
"""
    (only,) = read_back(guarded(policy, "gemini", [frame(STREAM)]))
    assert "denied" in view([only])["text"]


# any JSON

ALL = [*STREAM[:4], *PIECES[1:6], chunk(*PARTS), {"candidates": [GROUNDED]}, PIECES[8], END]


@given(st.data(), st.booleans())
def test_any_value_in_any_place_of_a_stream(data: st.DataObject, snaked: bool) -> None:
    stream = snake(ALL) if snaked else ALL
    document = documents.put(stream, data.draw(st.sampled_from(documents.places(stream))), data.draw(ANY_JSON))
    stream = document if isinstance(document, list) else [document]
    read = readings(CODEC, stream)
    opened: set[Any] = set()
    closed: set[Any] = set()
    for one, reading in zip(stream, read, strict=False):
        assert [path for path in unsaid(one, reading) if path[-1:] != ("name",)] == []
        assert misplaced(one, [fragment[1:] for fragment in reading.fragments]) == []
        assert not closed & {fragment.channel for fragment in reading.fragments}
        opened |= {fragment.channel for fragment in reading.fragments} | {item.channel for item in reading.opens}
        closed |= set(reading.closes)
    assert opened <= closed | set(read[-1].closes)
    cuts = {item.channel: "NO" for reading in read for item in reading.opens if not item.by_provider}
    documents.cut(CODEC, stream, cuts)
    documents.edited(CODEC, stream, "see", "***")


def test_ten_thousand_calls_and_pieces_stay_linear() -> None:
    many = [chunk(*(call("f", {"n": str(number)}) for number in range(10_000)))]
    assert len(documents.calls(CODEC, many)) == 10_000
    out = documents.cut(CODEC, many, {("tool_call", 0, number): "N" for number in range(9_999)})
    assert view(out)["calls"] == ["f"]
    pieces = [
        chunk(piece(name="f")),
        *(chunk(piece(argument(f"$.a[{number % 5000}]", "x"))) for number in range(10_000)),
        END,
    ]
    (told,) = {item.channel: item for reading in readings(CODEC, pieces) for item in reading.opens}.values()
    assert told.arguments == {"a": ["xx"] * 5000}
