"""The stand-in provider by itself, over raw connections and as a process: what tests and the demo rely on."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from proxy.demo.answers import Answer, Call, Cut, Failure, Raw, Received, Text, call, cut, default_scenario, says
from proxy.demo.stand_in import StandIn, in_thread

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi."}]}


def _client(provider: StandIn) -> httpx2.Client:
    context = ssl.create_default_context(cafile=str(provider.ca_file))
    return httpx2.Client(base_url=f"https://localhost:{provider.port}", verify=context, trust_env=False)


async def test_serves_both_names_over_verified_tls() -> None:
    async with StandIn() as provider:
        context = ssl.create_default_context(cafile=str(provider.ca_file))
        for name in ("api.openai.com", "api.anthropic.com", "localhost"):
            _, writer = await asyncio.open_connection("127.0.0.1", provider.port, ssl=context, server_hostname=name)
            writer.close()
            await writer.wait_closed()
    assert not provider.ca_file.exists()


async def test_keeps_the_certificates_where_it_is_told(tmp_path: Path) -> None:
    async with StandIn(ca_dir=tmp_path / "ca") as provider:
        assert provider.ca_file == tmp_path / "ca" / "ca.pem"
    assert (tmp_path / "ca" / "leaf.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("path", "headers", "told"),
    [
        ("/v1/other", {}, ("error", "type", "invalid_request_error")),
        ("/v1/messages/other", {}, ("error", "type", "not_found_error")),
        ("/v1/other", {"anthropic-version": "2023-06-01"}, ("error", "type", "not_found_error")),
    ],
)
def test_unknown_paths_are_404_in_the_provider_s_shape(
    stand_in: StandIn, path: str, headers: dict[str, str], told: tuple[str, str, str]
) -> None:
    with _client(stand_in) as client:
        answer = client.post(path, headers=headers, json={})
    assert answer.status_code == 404
    assert answer.json()[told[0]][told[1]] == told[2]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_400(stand_in: StandIn, body: bytes) -> None:
    with _client(stand_in) as client:
        assert client.post("/v1/messages", content=body).json()["error"]["type"] == "invalid_request_error"


def test_a_scripted_failure_keeps_its_headers(stand_in: StandIn) -> None:
    stand_in.scenario = lambda _: Failure(529, "busy", (("retry-after", "7"),))
    with _client(stand_in) as client:
        answer = client.post("/v1/messages", json=CHAT)
    assert (answer.status_code, answer.headers["retry-after"]) == (529, "7")
    assert answer.json()["error"] == {"type": "overloaded_error", "message": "busy"}


def test_raw_chunks_are_sent_as_they_are(stand_in: StandIn) -> None:
    chunks = (b'data: {"a"', b": 1}\r\n", b"\r\n\xff")
    stand_in.scenario = lambda _: Raw(chunks, status=203, headers=(("content-type", "x/y"),))
    with _client(stand_in) as client:
        answer = client.post("/v1/chat/completions", json=CHAT)
    assert (answer.status_code, answer.content) == (203, b"".join(chunks))
    assert stand_in.requests[0].sent == b"".join(chunks)


def test_usage_is_streamed_only_when_asked_for(stand_in: StandIn) -> None:
    with _client(stand_in) as client:
        without = client.post("/v1/chat/completions", json={**CHAT, "stream": True}).text
        options = {"stream": True, "stream_options": {"include_usage": True}}
        with_usage = client.post("/v1/chat/completions", json={**CHAT, **options}).text
    assert '"usage"' not in without
    assert '"choices":[],"usage":{"prompt_tokens":12,' in with_usage
    assert without.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_pieces_are_deltas_exactly_as_given(stand_in: StandIn, path: str) -> None:
    stand_in.scenario = lambda _: Answer((Text("a", "", "bc"), Call("f", ('{"x"', ":1}"))))
    with _client(stand_in) as client:
        body = client.post(path, json={**CHAT, "stream": True}).text
    events = [json.loads(line[6:]) for line in body.split("\n") if line.startswith("data: {")]
    assert [text for event in events if (text := _delta_text(event)) is not None] == ["a", "", "bc"]
    assert [part for event in events if (part := _delta_arguments(event))] == ['{"x"', ":1}"]


def _delta(event: dict[str, Any]) -> dict[str, Any]:
    choices = event.get("choices") or [{}]
    delta: dict[str, Any] = event.get("delta") or choices[0].get("delta") or {}
    return delta


def _delta_text(event: dict[str, Any]) -> str | None:
    delta = _delta(event)
    return None if "role" in delta else delta.get("text", delta.get("content"))


def _delta_arguments(event: dict[str, Any]) -> str | None:
    delta = _delta(event)
    calls = delta.get("tool_calls") or [{"function": {}}]
    found: str | None = delta.get("partial_json") or calls[0]["function"].get("arguments")
    return found


def test_a_clean_cut_ends_the_body_but_not_the_message(stand_in: StandIn) -> None:
    stand_in.scenario = lambda _: says("a", "b", cut=Cut(2))
    with _client(stand_in) as client:
        body = client.post("/v1/chat/completions", json={**CHAT, "stream": True}).text
        assert body.count("data: ") == 2
        assert client.post("/v1/chat/completions", json=CHAT).status_code == 200  # the connection lives on
    assert stand_in.requests[0].outcome == "cut"


@pytest.mark.parametrize("streaming", [False, True])
def test_an_abort_is_seen_as_one(stand_in: StandIn, streaming: bool) -> None:
    stand_in.scenario = lambda _: says("a", "b", cut=Cut(1, "abort"))
    with _client(stand_in) as client, pytest.raises(httpx2.TransportError):
        client.post("/v1/chat/completions", json={**CHAT, "stream": streaming})


def test_head_has_no_body(stand_in: StandIn) -> None:
    with _client(stand_in) as client:
        assert client.head("/").status_code == 404
        assert client.get("/v1/models").json()["data"][0]["id"] == "gpt-standin"


def test_a_client_that_expects_continue_is_told_to(stand_in: StandIn) -> None:
    with _client(stand_in) as client:
        answer = client.post("/v1/chat/completions", json=CHAT, headers={"expect": "100-continue"})
    assert answer.status_code == 200


def test_default_scenario_calls_a_shell_once() -> None:
    def asked(**body: Any) -> Answer:
        reply = default_scenario(Received("POST", "/v1/messages", "h", (), json.dumps(body).encode()))
        assert isinstance(reply, Answer)
        return reply

    tools = [{"name": "Edit"}, {"name": "Bash"}]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}
    assert [part.name for part in asked(tools=tools, messages=[]).calls] == ["Bash"]
    assert asked(tools=tools, messages=[result]).text == "FINAL_TEXT_OK"
    assert asked(tools=[{"name": "Edit"}], messages=[]).calls == []


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 100])
def test_cut_loses_nothing(pieces: int) -> None:
    text = "abcdefghij"
    assert "".join(cut(text, pieces)) == text
    assert len(list(cut(text, pieces))) <= pieces
    assert json.loads(call("f", {"a": text}, pieces=pieces).arguments) == {"a": text}


def test_a_port_in_use_is_told_to_whoever_waits(stand_in: StandIn) -> None:
    async def twice() -> None:
        async with StandIn(port=stand_in.port):
            pass

    with pytest.raises(OSError, match="address already in use"):
        asyncio.run(twice())


def test_thread_stops_cleanly() -> None:
    with in_thread() as provider, _client(provider) as client:
        client.post("/v1/messages", json=CHAT)
    assert len(provider.requests) == 1


def test_runs_alone_and_logs_requests(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    line = [sys.executable, "-W", "error", "-m", "proxy.demo.stand_in", "--ca-dir", str(tmp_path), "--log", str(log)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        ready = json.loads(process.stdout.readline())
        context = ssl.create_default_context(cafile=ready["ca_file"])
        with httpx2.Client(verify=context, trust_env=False) as client:
            client.post(f"https://localhost:{ready['port']}/v1/messages", json=CHAT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""
    assert json.loads(log.read_text())["path"] == "/v1/messages"
