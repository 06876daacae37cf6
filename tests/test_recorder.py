"""`--record`: what passes is in the file, redacted unless told otherwise, and replays."""

import json
from pathlib import Path

import orjson
import pytest

from proxy.recorder import REDACTED, Recorder
from proxy.replay import flows
from proxy.replay.recordings import Recording
from tests.behind import CHAT, JSON, answer, asking, saying, serving
from tests.judging import REDACT
from tests.wire import openai_stream

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
NOTHING = "version: 1\n"


async def recorded(folder: Path, policy: str, script: bytes, body: bytes, *, redacts: bool) -> Recording:
    """The one exchange that was recorded of this one."""
    path = folder / "flows.mitm"
    recorder = Recorder(path, redacts=redacts)
    async with (
        serving(folder, policy, script, recorder=recorder) as running,
        running.proxy.client() as client,
    ):
        await client.send("POST", f"{CHAT}?key=abc&x=1", body, [*JSON, "authorization: Bearer of-somebody"])
        await client.response()
    recorder.close()
    (one,) = flows.read(path)
    assert path.stat().st_mode & 0o777 == 0o600
    return one


@pytest.mark.parametrize("policy", [NOTHING, REDACT])
async def test_secrets_are_taken_out_before_anything_is_written(tmp_path: Path, policy: str) -> None:
    one = await recorded(tmp_path, policy, answer(saying(f"it is {SECRET}")), asking(f"use {SECRET}"), redacts=True)
    assert SECRET.encode() not in (tmp_path / "flows.mitm").read_bytes()
    assert b"of-somebody" not in (tmp_path / "flows.mitm").read_bytes()
    assert one.body == asking("use [REDACTED:github_token]")
    assert one.answer == saying("it is [REDACTED:github_token]")
    assert one.headers["authorization"] == REDACTED
    assert "key=%5BREDACTED%5D&x=1" in one.url


async def test_without_redaction_it_is_what_came_in_not_what_went_out(tmp_path: Path) -> None:
    one = await recorded(tmp_path, REDACT, answer(saying(f"it is {SECRET}")), asking(f"use {SECRET}"), redacts=False)
    assert (one.body, one.answer) == (asking(f"use {SECRET}"), saying(f"it is {SECRET}"))
    assert one.headers["authorization"] == "Bearer of-somebody"


@pytest.mark.parametrize("redacts", [True, False])
async def test_streams_are_recorded_whole(tmp_path: Path, redacts: bool) -> None:
    stream = openai_stream(["far ", SECRET[:9], SECRET[9:], " and wide"])
    script = answer(stream, kind="text/event-stream")
    one = await recorded(tmp_path, REDACT, script, asking("hi", stream=True), redacts=redacts)
    assert (one.answer == stream) is not redacts
    assert (SECRET[:9].encode() in one.answer) is not redacts


async def test_what_cannot_be_read_is_not_written_redacted(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "flows.mitm", redacts=True)
    async with (
        serving(tmp_path, NOTHING, answer(b'{"choices": [' + SECRET.encode()), recorder=recorder) as running,
        running.proxy.client() as client,
    ):
        await client.send("POST", CHAT, asking("hi"), [*JSON])
        await client.response()
    recorder.close()
    assert (tmp_path / "flows.mitm").read_bytes() == b""


async def test_a_recording_replays_as_it_was_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from proxy.cli import main

    policy = tmp_path / "redacts.yaml"
    policy.write_text(REDACT)
    await recorded(tmp_path, REDACT, answer(saying("well")), asking(f"use {SECRET}"), redacts=False)
    assert main(["replay", str(tmp_path / "flows.mitm"), "-p", str(policy), "--json"]) == 0
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert line["request"]["changed"]
    assert [d["verdict"] for d in line["decisions"] if d["point"] == "pre_llm_request"] == ["modify"]
    assert orjson.loads(saying("well"))["choices"]
