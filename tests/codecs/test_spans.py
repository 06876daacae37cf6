"""Spans: an edit changes its own characters and no other byte; what is not certain JSON is refused."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import DecodeError, Key, Path, spans, splicing, trees
from proxy.codecs.splicing import Append, Insert, Remove, Replace, TextChange, splice
from proxy.decision import TextEdit

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(['a"b\\', "\U0001f600é\n", "\u2028"])
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
RAW = st.tuples(TREES, st.booleans(), st.sampled_from([None, 1])).map(
    lambda made: json.dumps(made[0], ensure_ascii=made[1], indent=made[2]).encode()
)


@given(RAW)
def test_any_document_is_read_and_spliced_untouched(raw: bytes) -> None:
    tree = trees.parse(raw)
    assert tree == json.loads(raw)
    paths = [path for path, _ in trees.leaves(tree)]
    assert (
        splice(raw, [TextChange(path, []) for path in paths if not path or not isinstance(path[-1], int)]) is not None
    )
    for path, (start, end) in spans.locate(raw, paths).items():
        assert str(json.loads(raw[start:end])) == dict(trees.leaves(tree))[path]


@given(RAW, st.data())
def test_a_text_change_changes_only_its_span(raw: bytes, data: st.DataObject) -> None:
    texts = list(trees.strings(trees.parse(raw)))
    if not texts:
        return
    path, text = data.draw(st.sampled_from(texts))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    new = data.draw(TEXTS)
    out = splice(raw, [TextChange(path, [TextEdit(start, end, new)])])
    assert dict(trees.strings(trees.parse(out)))[path] == text[:start] + new + text[end:]
    left, right = spans.locate(raw, [path])[path]
    assert out[:left] == raw[:left]
    assert out[len(out) - (len(raw) - right) :] == raw[right:]


WHOLE = st.integers(-(2**63), 2**64 - 1)  # beyond 64 bits orjson reads a float


@given(st.lists(WHOLE, max_size=6), st.sets(st.integers(0, 5)), st.lists(WHOLE, max_size=3))
def test_elements_go_and_come_with_their_commas(items: list[int], gone: set[int], more: list[int]) -> None:
    gone = {index for index in gone if index < len(items)}
    changes: list[splicing.Change] = [Remove(("a", index)) for index in gone]
    changes += [Append(("a",), str(item).encode()) for item in more]
    kept = [item for index, item in enumerate(items) if index not in gone] + more
    for indent in (None, 2):
        raw = json.dumps({"a": items, "b": 1}, indent=indent).encode()
        assert trees.parse(splice(raw, changes)) == {"a": kept, "b": 1}
        raw = json.dumps({"a": {str(i): item for i, item in enumerate(items)}}, indent=indent).encode()
        assert (
            list(trees.parse(splice(raw, [Remove(("a", str(i))) for i in gone]))["a"].values())
            == kept[: len(kept) - len(more)]
        )


@given(st.lists(WHOLE, max_size=5), st.sets(st.integers(0, 4)), st.lists(st.integers(0, 4), max_size=4))
def test_elements_are_put_before_others_whether_those_stay_or_go(
    items: list[int], gone: set[int], before: list[int]
) -> None:
    changes: list[splicing.Change] = [Insert(("a", at), b"%d" % n) for n, at in enumerate(before) if at < len(items)]
    changes += [Remove(("a", index)) for index in gone if index < len(items)]
    changes.append(Append(("a",), b"99"))
    expected: list[int] = []
    for index, item in enumerate(items):
        expected += [n for n, at in enumerate(before) if at == index]
        expected += [] if index in gone else [item]
    for indent in (None, 2):
        raw = json.dumps({"a": items, "b": 1}, indent=indent).encode()
        assert trees.parse(splice(raw, changes)) == {"a": [*expected, 99], "b": 1}


def test_escapes_beside_an_edit_stay_as_they_are() -> None:
    raw = rb'{ "t" : "\u0041\/ key=\ud83d\ude00abc\n" , "z":1.0e0}'
    text = trees.parse(raw)["t"]
    at = text.index("abc")
    out = splice(raw, [TextChange(("t",), [TextEdit(at, at + 3, 'X"é')])])
    assert out == rb'{ "t" : "\u0041\/ key=\ud83d\ude00X\"' + "é".encode() + rb'\n" , "z":1.0e0}'


def test_each_operation() -> None:
    raw = b'{"a": 123456789, "sk-1": {"x": []}, "o": {}}'
    assert splice(raw, [TextChange(("a",), [TextEdit(0, 6, "#")])]) == raw.replace(b"123456789", b'"#789"')
    assert splice(raw, [TextChange((Key("sk-1"),), [TextEdit(0, 4, "k")])]) == raw.replace(b"sk-1", b"k")
    assert splice(raw, [Replace(("sk-1", "x"), b"1")]) == raw.replace(b"[]", b"1")
    assert splice(raw, [Append(("o",), b'"p":1')]) == raw.replace(b"{}", b'{"p":1}')
    assert splice(raw, [Replace(("o", "p"), b"1")]) == raw.replace(b"{}", b'{"p":1}')
    assert (
        splice(raw, [Remove(("sk-1",)), TextChange(("sk-1", Key("x")), [TextEdit(0, 1, "y")])])
        == b'{"a": 123456789, "o": {}}'
    )


@pytest.mark.parametrize("path", [("b",), ("a", "b"), ("c", 3), ("c", "x")])
def test_a_path_that_is_not_there(path: Path) -> None:
    with pytest.raises(LookupError):
        splice(b'{"a": 1, "c": []}', [TextChange(path, [TextEdit(0, 0, "x")])])
    with pytest.raises(LookupError):
        splice(b'{"a": 1, "c": []}', [Remove(path)])
    with pytest.raises(LookupError):
        splice(b'{"a": 1, "c": []}', [Insert(path, b"1")])


def test_overlapping_edits_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        splice(b'"abc"', [TextChange((), [TextEdit(0, 2, ""), TextEdit(1, 3, "")])])


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "not JSON at byte 0"),
        ('"é" x'.encode(), "not JSON at byte 5"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b"[NaN]", "NaN and Infinity are not JSON"),
        (b'{"a":1,"a":2}', "duplicate member name in an object"),
        (b'{"a":1,"\\u0061":"x\\\\"}', "duplicate member name in an object"),
        (b"[" * 300 + b"]" * 300, "nested deeper than 254 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b"9" * 5000 + b"x", "a number with too many digits"),
    ],
)
def test_what_is_no_certain_json(raw: bytes, message: str) -> None:
    with pytest.raises(DecodeError) as error:
        trees.parse(raw)
    assert message in str(error.value)
    assert error.value.__cause__ is None


def test_a_message_never_quotes_the_document() -> None:
    with pytest.raises(DecodeError) as error:
        trees.parse(b'{"password": hunter2}')
    assert "hunter" not in repr(error.value)


def test_what_orjson_refuses_but_is_json() -> None:
    assert trees.parse(rb'["\ud800"]') == ["\ud800"]
    assert splice(rb'["\ud800 key"]', [TextChange((0,), [TextEdit(2, 5, "x")])]) == rb'["\ud800 x"]'
    assert trees.parse(b"\xef\xbb\xbf{}") == {}
    assert splice(b'\xef\xbb\xbf{"a":"b"}', [Remove(("a",))]) == b"\xef\xbb\xbf{}"
    assert trees.parse(b"[" * 254 + b"]" * 254) is not None


@given(st.dictionaries(TEXTS, TEXTS, min_size=1, max_size=4), st.data())
def test_every_duplicate_name_is_found(members: dict[str, str], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(sorted(members)))
    value: Any = data.draw(TREES)
    pairs = [*members.items(), (again, value)]
    escape = data.draw(st.booleans())
    raw = "{" + ",".join(f"{json.dumps(n, ensure_ascii=escape)}:{json.dumps(v)}" for n, v in pairs) + "}"
    with pytest.raises(DecodeError, match="duplicate"):
        trees.parse(raw.encode())


def test_leaves_are_strings_telling_names_and_long_integers() -> None:
    document = orjson.loads(b'{"path": "x", "a@b.example": 4111111111111111, "n": [12345678, true, null, 1.5]}')
    assert list(trees.leaves(document)) == [
        (("path",), "x"),
        ((Key("a@b.example"),), "a@b.example"),
        (("a@b.example",), "4111111111111111"),
    ]
