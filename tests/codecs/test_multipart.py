"""Forms: every text of every part, exact changes, and boundaries that somebody made to mislead."""

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.codecs import AmbiguousError, DecodeError
from proxy.codecs.multipart import MULTIPART, UPLOADS, parse, splice
from proxy.codecs.splicing import Append, Remove, Replace, TextChange
from proxy.decision import TextEdit

PNG = b"\x89PNG\r\n\x1a\n\0\xff"


def form(*parts: tuple[str, bytes], boundary: str = "b0undary", newline: bytes = b"\r\n") -> bytes:
    """Parts as (headers, content)."""
    mark = b"--" + boundary.encode()
    body = b"".join(
        mark + newline + headers.encode().replace(b"\n", newline) + newline * 2 + content + newline
        for headers, content in parts
    )
    return body + mark + b"--" + newline


def field(name: str, content: bytes = b"value") -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="{name}"', content


def file(content: bytes, name: str = "notes.txt", kind: str = "text/plain") -> tuple[str, bytes]:
    return f'Content-Disposition: form-data; name="file"; filename="{name}"\nContent-Type: {kind}', content


def parts(raw: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = parse(raw)["parts"]
    return found


def edit(path: tuple[Any, ...], start: int, end: int, text: str) -> TextChange:
    return TextChange(path, [TextEdit(start, end, text)])


@pytest.mark.parametrize("newline", [b"\r\n", b"\n"])
def test_every_part_is_read(newline: bytes) -> None:
    raw = form(field("model", b"whisper-1"), file(b"my notes"), file(PNG, "a.png", "image/png"), newline=newline)
    assert parts(raw) == [
        {"name": "model", "text": "whisper-1"},
        {"name": "file", "filename": "notes.txt", "type": "text/plain", "text": "my notes"},
        {"name": "file", "filename": "a.png", "type": "image/png", "sealed": len(PNG)},
    ]


def test_names_without_quotes_other_headers_and_parameters() -> None:
    raw = form(
        ("content-disposition: form-data; name=a; filename*=UTF-8''n%20b\nX-Note: remember", b"x"),
        ("Content-Type: application/sdp", b"v=0"),
        ("", b"bare"),
    )
    raw = raw.replace(b"\r\n\r\n\r\nbare", b"\r\n\r\nbare")  # no headers at all
    assert parts(raw) == [
        {"name": "a", "headers": ["filename*=UTF-8''n%20b", "X-Note: remember"], "text": "x"},
        {"type": "application/sdp", "text": "v=0"},
        {"text": "bare"},
    ]


def test_an_empty_content_with_and_without_a_line_end_of_its_own() -> None:
    assert parts(form(field("a", b""))) == [{"name": "a", "text": ""}]
    assert parts(b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n--b--\r\n') == [{"name": "a", "text": ""}]


def test_json_in_a_part_is_read_as_json() -> None:
    raw = form(field("session", b'{"model": "m", "instructions": "caf\\u00e9"}'))
    assert parts(raw)[0]["json"] == {"model": "m", "instructions": "café"}


def test_lines_of_json_are_read_as_json() -> None:
    content = b'{"body": {"input": "a\\u0062c"}}\n\n{"body": {"input": "def"}}\r\nno json\n'
    assert parts(form(file(content, "batch.jsonl")))[0]["lines"] == [
        {"body": {"input": "abc"}},
        {"body": {"input": "def"}},
        "no json",
    ]


@pytest.mark.parametrize("content", [b"{{template}}\n{more}", b"[link](x)", b"{", b"5", b'"a"'])
def test_what_only_looks_like_json_is_a_text(content: bytes) -> None:
    assert parts(form(file(content)))[0]["text"] == content.decode()


def test_json_that_readers_read_differently_is_refused() -> None:
    with pytest.raises(AmbiguousError):
        parse(form(file(b'{"a": 1, "a": 2}')))


@pytest.mark.parametrize("content", [PNG, b"\xff\xfe", "text".encode("utf-16"), b"a\0b"])
def test_what_is_no_text_is_sealed(content: bytes) -> None:
    assert parts(form(file(content)))[0]["sealed"] == len(content)


# changes


def test_a_change_of_a_text_changes_nothing_else() -> None:
    raw = form(field("prompt", "tell Ädä".encode()), file(PNG))
    assert splice(raw, [edit(("parts", 0, "text"), 5, 8, "[x]")]) == raw.replace("Ädä".encode(), b"[x]")


def test_changes_in_json_lines_and_headers() -> None:
    raw = form(
        field("session", b'{"a": "caf\\u00e9 Ada"}'),
        file(b'{"b": "Ada"}\r\n{"b": "Bob"}\nAda\n', "Ada.jsonl"),
        ("X-Note: Ada", b"x"),
    )
    changed = splice(
        raw,
        [
            edit(("parts", 0, "json", "a"), 5, 8, '"'),
            edit(("parts", 1, "lines", 0, "b"), 0, 3, "[x]"),
            edit(("parts", 1, "lines", 2), 0, 3, "[y]"),
            edit(("parts", 1, "filename"), 0, 3, 'a"b'),
            edit(("parts", 2, "headers", 0), 8, 11, "\r\nEvil: 1"),
        ],
    )
    assert parts(changed) == [
        {"name": "session", "json": {"a": 'café "'}},
        {"name": "file", "filename": "a%22b.jsonl", "type": "text/plain", "lines": [{"b": "[x]"}, {"b": "Bob"}, "[y]"]},
        {"headers": ["X-Note: %0D%0AEvil: 1"], "text": "x"},
    ]
    assert b"caf\\u00e9" in changed
    assert b"Ada" not in changed


def test_a_length_that_a_part_tells_of_itself_stays_right() -> None:
    headers, content = file(b"call Ada now")
    raw = form((f"{headers}\nContent-Length: 12\nContent-Transfer-Encoding: binary", content))
    assert parts(raw)[0]["headers"] == ["Content-Transfer-Encoding: binary"]
    assert splice(raw, [edit(("parts", 0, "text"), 5, 8, "[name]")]) == raw.replace(b"Ada", b"[name]").replace(
        b"Content-Length: 12", b"Content-Length: 15"
    )
    wrong = raw.replace(b"Content-Length: 12", b"Content-Length: 99")
    assert parts(wrong)[0]["headers"][0] == "Content-Length: 99"


def test_a_text_may_be_replaced_whole() -> None:
    raw = form(field("prompt", b"hello"))
    assert parts(splice(raw, [Replace(("parts", 0, "text"), b'"bye"')])) == [{"name": "prompt", "text": "bye"}]


@pytest.mark.parametrize(
    "change",
    [
        Remove(("parts", 0)),
        Remove(("parts", 0, "text")),
        Append(("parts",), b"1"),
        Replace(("parts", 0, "text"), b"1"),
        edit(("parts", 0, "filename"), 0, 0, "x"),
        edit(("model",), 0, 0, "x"),
    ],
)
def test_what_is_not_there_is_not_changed(change: Any) -> None:
    with pytest.raises(LookupError):
        splice(form(field("prompt")), [change])


def test_edits_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        splice(form(field("a")), [TextChange(("parts", 0, "text"), [TextEdit(0, 2, ""), TextEdit(1, 3, "")])])


def test_a_body_that_is_json_is_json() -> None:
    raw = b'\xef\xbb\xbf {"prompt": "Ada"}'
    assert parse(raw) == {"prompt": "Ada"}
    assert splice(raw, [edit(("prompt",), 0, 3, "x")]) == b'\xef\xbb\xbf {"prompt": "x"}'
    assert splice(b"anything", []) == b"anything"


names = st.text(st.characters(exclude_characters='"\\\r\n\0', exclude_categories=["Cs"]), max_size=8)


@given(
    st.lists(st.tuples(names, st.binary(max_size=40) | st.text(max_size=20).map(str.encode)), min_size=1, max_size=4)
)
def test_whatever_parts_hold_they_are_read_back(given_parts: list[tuple[str, bytes]]) -> None:
    boundary = "Zb0undaryZ"
    raw = form(*(field(name, content) for name, content in given_parts), boundary=boundary)
    if b"--" + boundary.encode() in b"".join(content for _, content in given_parts):
        return
    try:
        read = parts(raw)
    except AmbiguousError:  # JSON with a name twice
        return
    assert [part["name"] for part in read] == [name for name, _ in given_parts]
    changes = [edit(("parts", i, "text"), 0, 0, "") for i, part in enumerate(read) if "text" in part]
    assert splice(raw, changes) == raw
    longer = splice(raw, [change._replace(edits=[TextEdit(0, 0, "+")]) for change in changes])
    assert len(longer) == len(raw) + len(changes)


def test_a_file_may_be_uploaded_by_itself() -> None:
    assert UPLOADS.parse(b"my notes") == {"parts": [{"text": "my notes"}]}
    assert UPLOADS.parse(PNG) == {"parts": [{"sealed": len(PNG)}]}
    assert UPLOADS.parse(b"v=0\r\n") == {"parts": [{"type": "application/sdp", "text": "v=0\r\n"}]}
    assert UPLOADS.parse(b'{"a": 1}') == {"a": 1}
    assert UPLOADS.parse(GOOD) == parse(GOOD)
    assert UPLOADS.splice(b"my notes", [edit(("parts", 0, "text"), 3, 8, "x")]) == b"my x"
    for raw in (b'{"a": ', GOOD[:-4]):
        with pytest.raises(DecodeError):
            UPLOADS.parse(raw)


# bad input

GOOD = form(field("a", b"x"), file(b"y"))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"--",
        b"--b",
        b"--b--\r\n",
        b"-- \r\n",
        b"--" + b"b" * 300 + b"\r\n",
        b'--b"\r\n\r\nx\r\n--b"--\r\n',
        b"--b\r\nA: 1\r\n--b--\r\n",
        b"--b\r\n\r\nx",
        b"--b\r\n\r\nx\r\n--b",
        GOOD[:-4],
        GOOD + b"epilogue",
        b"preamble\r\n" + GOOD,
        GOOD.replace(b'name="a"', b'name="a'),
        GOOD.replace(b"form-data;", b"other-data;", 1),
        GOOD.replace(b'name="a"', b'name="\xff"'),
        form(("Content-Transfer-Encoding: base64", b"c2VjcmV0")),
    ],
)
def test_what_is_no_form_is_refused(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        parse(raw)


@pytest.mark.parametrize(
    "raw",
    [
        form(field("a", b"x\r\n--b0undaryish\r\ny")),  # some readers end the part where the boundary only begins
        form(field("a", b"x\r\n--b0undary more\r\ny")),
        GOOD.replace(b'name="a"', b'name="a"; name="b"'),
        form(("Content-Type: text/plain\nContent-Type: text/html", b"x")),
    ],
)
def test_what_readers_read_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(AmbiguousError):
        parse(raw)


def test_a_boundary_in_the_middle_of_a_line_is_content() -> None:
    assert parts(form(field("a", b"x --b0undary y\n--b0undary")))[0]["text"] == "x --b0undary y\n--b0undary"


def test_white_space_after_a_boundary_is_none_of_it() -> None:
    assert parts(GOOD.replace(b"--b0undary\r\n", b"--b0undary \t\r\n")) == parts(GOOD)


@pytest.mark.parametrize(
    "raw",
    [
        form(*[field("a", b"x")] * 20_000),
        form(file(b"\r\n--b0undar" * 200_000)),
        form(file(b" --b0undary" * 200_000)),
        form(("\n".join(f"X-{n}: y" for n in range(20_000)), b"x")),
        form((f"Content-Disposition: form-data{'; a=b' * 50_000}", b"x")),
        form(file(b'{"a": 1}\n' * 100_000)),
        form(file(b"\r\n" * 1_000_000)),
        form(file(b"\xff" * 8_000_000)),
    ],
    ids=range(8),
)
def test_time_is_linear(raw: bytes) -> None:
    began = time.monotonic()
    MULTIPART.parse(raw)
    assert time.monotonic() - began < 5


def test_a_form_is_told_from_json_of_the_same_shape() -> None:
    assert type(parse(GOOD)) is not type(parse(orjson.dumps(parse(GOOD))))
