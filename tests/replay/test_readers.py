"""Recordings from files: what each kind of file says, and what is told of one that says nothing."""

import base64
import gzip
from pathlib import Path

import orjson
import pytest
from mitmproxy import http
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from proxy.replay import corpus, flows, har
from proxy.replay.recordings import Message, RecordingError
from proxy.replay.run import files

URL = "https://api.openai.com/v1/chat/completions?x=1"


def line(**fields: object) -> bytes:
    request = {"method": "POST", "url": URL, "headers": {"A": ["1", "2"]}, "body_text": "up"}
    response = {"status": 200, "headers": {"Content-Encoding": "gzip"}, "body_text": "down"}
    return orjson.dumps({"id": "x", "request": request, "response": response, **fields}) + b"\n"


def test_a_line_is_an_exchange(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line() + b"\n" + line(id=None))
    first, second = corpus.read(path)
    assert (first.id, first.source, second.source) == ("x", f"{path}:1", f"{path}:3")
    assert (first.host, first.path, first.method) == ("api.openai.com", "/v1/chat/completions?x=1", "POST")
    assert (first.headers, first.body, first.answer, first.status) == ({"a": "1, 2"}, b"up", b"down", 200)
    assert first.answer_headers == {}, "the header of a coding that is no longer there"


def test_compressed_bytes_stay_compressed(tmp_path: Path) -> None:
    body = gzip.compress(b"down")
    response = {"status": 200, "headers": {}, "body_b64": base64.b64encode(body).decode(), "content_encoding": "gzip"}
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(line(response=response)))
    (read,) = corpus.read(path)
    assert (read.answer, read.answer_headers) == (body, {"content-encoding": "gzip"})


def test_frames_are_messages_and_grpc_frames_are_bodies(tmp_path: Path) -> None:
    frames = [{"dir": "sent", "json": {"a": 1}}, {"dir": "received", "text": "b"}]
    grpc = [{"dir": "sent", "b64": "QUI="}, {"dir": "received", "b64": "Qw=="}, {"dir": "received", "b64": "RA=="}]
    path = tmp_path / "a.jsonl"
    path.write_bytes(line(frames=frames) + line(frames=grpc, framing="grpc"))
    first, second = corpus.read(path)
    assert first.messages == (Message(True, b'{"a":1}'), Message(False, b"b"))
    assert (second.body, second.answer) == (b"\0\0\0\0\x02AB", b"\0\0\0\0\x01C\0\0\0\0\x01D")


@pytest.mark.parametrize("text", [b"{}", b"nothing", b'{"request":[]}', b'{"request":{"method":"GET"}}'])
def test_what_is_no_exchange_is_named_by_its_place(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(line() + text)
    with pytest.raises(RecordingError, match=r"a\.jsonl:2: not a recorded exchange"):
        list(corpus.read(path))


def entry(**fields: object) -> dict[str, object]:
    return {
        "request": {"method": "POST", "url": URL, "headers": [{"name": "A", "value": "1"}], "postData": {"text": "up"}},
        "response": {"status": 200, "headers": [], "content": {"text": "ZG93bg==", "encoding": "base64"}},
        **fields,
    }


def test_an_archive_is_read_entry_by_entry(tmp_path: Path) -> None:
    messages = [{"type": "send", "opcode": 1, "data": "a"}, {"type": "receive", "opcode": 2, "data": "Yg=="}]
    path = tmp_path / "a.har"
    path.write_bytes(orjson.dumps({"log": {"entries": [entry(), entry(_webSocketMessages=messages)]}}))
    first, second = har.read(path)
    assert (first.headers, first.body, first.answer) == ({"a": "1"}, b"up", b"down")
    assert second.messages == (Message(True, b"a"), Message(False, b"b"))


@pytest.mark.parametrize("text", [b"{}", b"[", b'{"log":{"entries":[{}]}}', b'{"log":{"entries":[1]}}'])
def test_a_file_that_is_no_archive_is_named(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.har"
    path.write_bytes(text)
    with pytest.raises(RecordingError, match=r"a\.har"):
        list(har.read(path))


def test_flows_are_read_with_their_messages(tmp_path: Path) -> None:
    plain = tflow.tflow(resp=True)
    plain.request = http.Request.make("POST", URL, b"up", http.Headers(A="1"))
    path = tmp_path / "a.mitm"
    with path.open("wb") as file:
        writer = FlowWriter(file)  # type: ignore[no-untyped-call]  # mitmproxy is untyped
        for flow in (plain, tflow.twebsocketflow(), tflow.ttcpflow()):
            writer.add(flow)
    first, second = flows.read(path)
    assert (first.host, first.body, first.answer, first.headers["a"]) == ("api.openai.com", b"up", b"message", "1")
    assert [message.from_client for message in second.messages] == [True, True, False]


def test_a_file_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.flow"
    path.write_bytes(b"12:nonsense")
    with pytest.raises(RecordingError, match=r"a\.flow: not a flow file"):
        list(flows.read(path))


def test_folders_hold_recordings_and_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").touch()
    (tmp_path / "a.har").touch()
    (tmp_path / "readme.md").touch()
    assert [path.name for path in files([str(tmp_path)])] == ["a.har", "b.jsonl"]
    (tmp_path / "empty").mkdir()
    for wrong in ("readme.md", "absent.har", "empty"):
        with pytest.raises(RecordingError, match=wrong):
            files([str(tmp_path / wrong)])
