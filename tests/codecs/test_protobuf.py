"""Protocol Buffers as a syntax: against Google's own library, by tables and without, changed and refused."""

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import AmbiguousError, DecodeError, Key, trees
from proxy.codecs.framings.grpc import Grpc
from proxy.codecs.protobuf import Protobuf, wire
from proxy.codecs.protobuf.schema import table
from proxy.codecs.splicing import Append, Change, Remove, Replace, TextChange
from proxy.decision import TextEdit

TABLE = table(
    """
    Root: 1 text string, 2 inner Root, 3 many Root*, 4 words string*, 5 count int, 6 flag bool, 7 ratio float
    Empty:
    """
)
ROOT = Protobuf(TABLE, "Root")
ANY = Protobuf({})


def _reference() -> Any:
    """The same message by Google's library, with two fields more than the table knows."""
    file = descriptor_pb2.FileDescriptorProto(name="reference.proto", package="reference", syntax="proto3")
    message = file.message_type.add(name="Root")
    kinds = descriptor_pb2.FieldDescriptorProto
    for number, (name, kind, repeated) in enumerate(
        [
            ("text", kinds.TYPE_STRING, False),
            ("inner", kinds.TYPE_MESSAGE, False),
            ("many", kinds.TYPE_MESSAGE, True),
            ("words", kinds.TYPE_STRING, True),
            ("count", kinds.TYPE_INT64, False),
            ("flag", kinds.TYPE_BOOL, False),
            ("ratio", kinds.TYPE_FLOAT, False),
            ("later", kinds.TYPE_STRING, False),
            ("blob", kinds.TYPE_BYTES, False),
        ],
        1,
    ):
        field = message.field.add(name=name, number=number, type=kind)
        field.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
        if kind == kinds.TYPE_MESSAGE:
            field.type_name = ".reference.Root"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("reference.Root"))


REFERENCE = _reference()


def message(**members: Any) -> bytes:
    out = REFERENCE(**members).SerializeToString()
    assert isinstance(out, bytes)
    return out


FULL: dict[str, Any] = {
    "text": "hé🙂",
    "inner": {"text": "deep", "count": -3},
    "many": [{"text": "a"}, {"words": ["x", "y"]}, {}],
    "words": ["one", "", "three"],
    "count": 1 << 40,
    "flag": True,
    "ratio": 0.5,
}
TREE = FULL


def test_a_message_is_read_by_its_table() -> None:
    assert ROOT.parse(message(**FULL)) == TREE


def test_a_message_is_written_as_the_reference_reads_it() -> None:
    assert REFERENCE.FromString(ROOT.encode(FULL)) == REFERENCE(**FULL)


def test_fields_that_no_table_knows_are_read_by_their_look() -> None:
    raw = message(later="a text", blob=b"\x00\xff", many=[{"later": "deep"}])
    assert ROOT.parse(raw) == {"#8": ["a text"], "#9": [b"\x00\xff"], "many": [{"#8": ["deep"]}]}
    assert ANY.parse(raw) == {"#8": ["a text"], "#9": [b"\x00\xff"], "#3": [{"#8": ["deep"]}]}


@pytest.mark.parametrize("size", [1, 9, 31, 32, 97, 126, 127, 128, 300])
def test_a_message_around_a_text_of_any_length_is_no_text(size: int) -> None:
    text = "s" * size
    (inner,) = ANY.parse(message(inner={"text": text, "words": ["w"]}))["#2"]
    assert inner == {"#1": [text], "#4": ["w"]}


@pytest.mark.parametrize(
    "text", ["hi", "(a", "key\tvalue\r\n", "\nnot a length", '"a', "sk-ant-1", "\x01", "\x08 odd", "é"]
)
def test_what_can_be_read_as_a_text_is_one(text: str) -> None:
    (found,) = ANY.parse(message(later=text))["#8"]
    assert found == text or "\x08" in text


def test_files_that_are_texts_are_read() -> None:
    proto = Protobuf(table("M: 1 data bytes"), "M")
    assert proto.parse(wire.encode_field(1, b"secret")) == {"data": "secret"}
    assert proto.parse(wire.encode_field(1, b"\x89PNG\xff")) == {"data": b"\x89PNG\xff"}
    assert proto.splice(wire.encode_field(1, b"secret"), [TextChange(("data",), [TextEdit(0, 6, "-")])]) == b"\x0a\x01-"


def test_packed_and_unpacked_numbers() -> None:
    proto = Protobuf(table("M: 1 n int*, 2 f float*"), "M")
    assert proto.parse(b"\x0a\x03\x01\x96\x01\x08\x02") == {"n": [1, 150, 2]}
    assert proto.parse(b"\x12\x04\x00\x00\x00\x3f\x15\x00\x00\x00\x3f") == {"f": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x0a", "does not end"),
        (b"\x0a\x05abc", "reaches beyond"),
        (b"\x08", "does not end"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "does not end"),
        (b"\x28\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "more than 64 bits"),
        (b"\x0b\x0c", "wire type 3"),
        (b"\x0e", "wire type 6"),
        (b"\x00\x00", "number 0"),
        (b"\xf8\xff\xff\xff\xff\x01\x00", "no field has the number"),
        (b"\x08\x01", "none of field 1's"),
        (b"\x2a\x00", "none of field 5's"),
        (b"\x3d\x00\x00", "reaches beyond"),
        (b"\x0a\x01\xff", "not UTF-8 at byte 2"),
        (b"\x3a\x03abc", "none of field 7's"),
    ],
)
def test_what_is_no_message(raw: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        ROOT.parse(raw)


def test_numbers_packed_short_are_refused() -> None:
    with pytest.raises(DecodeError, match="cut short"):
        Protobuf(table("M: 2 f float*"), "M").parse(b"\x12\x03abc")


def test_a_field_given_twice_can_be_read_in_two_ways() -> None:
    with pytest.raises(AmbiguousError):
        ROOT.parse(message(text="a") + message(text="b"))
    assert ROOT.parse(message(words=["a"]) + message(words=["b"])) == {"words": ["a", "b"]}


@pytest.mark.parametrize("proto", [ROOT, ANY])
def test_nesting_has_an_end(proto: Protobuf) -> None:
    def nested(times: int) -> bytes:
        raw = message(text="in the middle")
        for _ in range(times):
            raw = wire.encode_field(2, raw)
        return raw

    proto.parse(nested(100))
    with pytest.raises(DecodeError, match="deeper"):
        proto.parse(nested(102))


def test_a_table_names_only_types_it_has() -> None:
    with pytest.raises(ValueError, match="types that it does not have"):
        table("M: 1 x Gone")


# changes


def edit(*path: Any, start: int = 0, end: int = 1, text: str = "X") -> TextChange:
    return TextChange(path, [TextEdit(start, end, text)])


LONG = "z" * 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([edit("text", start=1, end=3)], {"text": "hX"}),
        ([edit("text", start=3, end=3, text=LONG)], {"text": "hé🙂" + LONG}),
        (
            [edit("inner", "text"), edit("words", 2, end=5)],
            {"inner": {"text": "Xeep", "count": -3}, "words": ["one", "", "X"]},
        ),
        ([edit("many", 1, "words", 1, text=LONG)], {"many": [{"text": "a"}, {"words": ["x", LONG]}, {}]}),
        ([Replace(("text",), b'"new"')], {"text": "new"}),
        ([Replace(("inner",), b'{"text":"n","flag":false}')], {"inner": {"text": "n", "flag": False}}),
        ([Replace(("words",), b'["a"]')], {"words": ["a"]}),
        ([Replace(("words", 1), b'"two"')], {"words": ["one", "two", "three"]}),
        ([Replace(("count",), b"7"), Replace(("ratio",), b"2")], {"count": 7, "ratio": 2.0}),
        ([Replace(("inner", "words"), b'["added"]')], {"inner": {"text": "deep", "count": -3, "words": ["added"]}}),
        ([Replace(("inner", "ratio"), b"0.25")], {"inner": {"text": "deep", "count": -3, "ratio": 0.25}}),
        ([Remove(("many", 0)), Remove(("inner", "text"))], {"many": FULL["many"][1:], "inner": {"count": -3}}),
        ([Remove(("words",)), edit("words", 0)], {"words": None}),
        ([Remove(("flag",))], {"flag": None}),
        ([Append(("words",), b'"last"')], {"words": ["one", "", "three", "last"]}),
        (
            [Append(("many",), b'{"text":"b"}'), edit("many", 0, "text")],
            {"many": [{"text": "X"}, *FULL["many"][1:], {"text": "b"}]},
        ),
        (
            [Append(("inner", "many"), b'{"text":"b"}')],
            {"inner": {"text": "deep", "count": -3, "many": [{"text": "b"}]}},
        ),
        ([Append(("inner",), b'"words":["w"]')], {"inner": {"text": "deep", "count": -3, "words": ["w"]}}),
        ([edit("count", end=13, text="12")], {"count": 12}),
        ([edit("count", end=13)], {"count": 0}),
        ([Replace(("text",), b"null")], {"text": None}),
        ([TextChange(("text",), ()), TextChange(("count",), ())], {}),
    ],
)
def test_changes(changes: list[Change], expected: dict[str, Any]) -> None:
    raw = message(**FULL)
    wanted = {name: value for name, value in (FULL | expected).items() if value is not None}
    assert ROOT.parse(ROOT.splice(raw, changes)) == wanted
    assert REFERENCE.FromString(ROOT.splice(raw, changes)) == REFERENCE(**wanted)


def test_the_whole_message_is_replaced() -> None:
    assert ROOT.splice(message(**FULL), [Replace((), b'{"text":"n"}')]) == message(text="n")


def test_what_nobody_changed_stays_byte_for_byte() -> None:
    odd = b"\x8a\x81\x00\x85\x00hello" + b"\x92\x00\x82\x00\x28\x07" + b"\x45abcd" + message(later="x")[:2] + b"y"
    raw = b"\x0a\x83\x00abc" + odd
    assert ROOT.splice(raw, []) == raw
    assert ROOT.splice(raw, [TextChange(("text",), ())]) == raw
    assert ROOT.splice(raw, [edit("text")]) == b"\x0a\x83\x00Xbc" + odd
    assert ROOT.splice(raw, [edit("text", text="XY")]) == b"\x0a\x04XYbc" + odd


def test_changes_without_a_table() -> None:
    raw = message(inner={"text": "deep", "words": ["w"]}, later="a text", count=411111111)
    changes = [edit("#2", 0, "#1", 0, text=LONG), edit("#8", 0), edit("#5", 0, end=9)]
    out = REFERENCE.FromString(ANY.splice(raw, changes))
    assert out == REFERENCE(inner={"text": LONG + "eep", "words": ["w"]}, later="X text", count=0)
    assert ANY.parse(ANY.splice(raw, [Remove(("#8", 0))])).keys() == {"#2", "#5"}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (edit("gone"), LookupError),
        (edit("words", 3), LookupError),
        (edit("words"), LookupError),
        (edit("inner"), LookupError),
        (edit("text", "deeper"), LookupError),
        (edit("count", 0), LookupError),
        (edit("text", start=9, end=10), LookupError),
        (edit("ratio"), LookupError),
        (edit(Key("text")), LookupError),
        (Remove(("inner", "words")), LookupError),
        (Replace(("nowhere",), b"1"), LookupError),
        (Append(("flag",), b"1"), LookupError),
        (Replace(("text",), b"1"), ValueError),
        (Replace(("text",), b'["a"]'), ValueError),
        (Replace(("count",), b'"1"'), ValueError),
        (Replace(("inner",), b'{"gone":1}'), ValueError),
    ],
)
def test_changes_that_cannot_be_made(change: Change, error: type[Exception]) -> None:
    with pytest.raises(error):
        ROOT.splice(message(**FULL), [change])


def test_changes_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="overlap"):
        ROOT.splice(message(**FULL), [edit("text", end=2), edit("text", start=1, end=2)])
    with pytest.raises(ValueError, match="twice"):
        ROOT.splice(message(**FULL), [Replace(("text",), b'"a"'), Replace(("text",), b'"b"')])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for proto in (ROOT, ANY):
        try:
            tree = proto.parse(raw)
        except DecodeError:
            continue
        places = list(trees.strings(tree))
        assert proto.splice(raw, [TextChange(path, ()) for path, _ in places]) == raw
        changed = proto.splice(raw, [TextChange(path, [TextEdit(0, 0, "+")]) for path, _ in places])
        proto.parse(changed)


nodes: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {},
        optional={
            "text": st.text(st.characters(codec="utf-8")),
            "words": st.lists(st.text(st.characters(codec="utf-8")), min_size=1),
            "count": st.integers(-(1 << 63), (1 << 63) - 1),
            "inner": nodes,
            "many": st.lists(nodes, min_size=1, max_size=3),
        },
    )
)


@given(nodes)
def test_every_message_of_the_reference_is_read_and_edited(tree: dict[str, Any]) -> None:
    raw = ROOT.encode(tree)
    assert REFERENCE.FromString(raw) == REFERENCE(**tree)
    assert ROOT.parse(raw) == tree
    places = list(trees.strings(tree))
    changed = ROOT.splice(raw, [TextChange(path, [TextEdit(0, len(text), text + LONG)]) for path, text in places])
    assert [text for _, text in trees.strings(ROOT.parse(changed))] == [text + LONG for _, text in places]


# bodies of one message


def framed(*messages: bytes) -> bytes:
    return b"".join(b"\0" + len(each).to_bytes(4) + each for each in messages)


def test_a_body_is_one_message_in_its_frame() -> None:
    raw = framed(message(text="abc"))
    assert ROOT.body.parse(raw) == {"text": "abc"}
    assert ROOT.body.splice(raw, [edit("text", text=LONG)]) == framed(message(text=LONG + "bc"))
    assert ROOT.body.splice(raw, []) == raw
    assert ROOT.body.parse(b"") == {}


@pytest.mark.parametrize("raw", [framed(b"", b""), framed(b"")[:-1], framed(b"")[:3], b"\x80\0\0\0\0", b"{}"])
def test_a_body_of_more_or_less(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        ROOT.body.parse(raw)


def test_a_body_of_a_message_is_no_longer_than_it_says() -> None:
    assert Grpc().feed(framed(b"abc"))[0].data == b"abc"
