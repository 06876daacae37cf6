"""Requests: what users of this field's tools ran into (pain-points.md, rows 6-10, 13-15, 18 and 28), through the
running proxy."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from openai import APIStatusError

from proxy.demo.stand_in import StandIn
from proxy.detectors.history import FindingCache
from tests.behind import CHAT, answer, asking, saying, serving
from tests.judging import REDACT
from tests.scripted import MESSAGES, ask, body_of
from tests.sdk.conftest import OPENAI_MODEL, Behind, behind
from tests.serving import GUARDED

__all__ = ["behind"]  # a fixture

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
EMAIL = "grace.hopper@navy-lab.org"
FINE = answer(saying("fine"))


async def sent(folder: Path, body: bytes, *headers: str, path: str = CHAT, policy: str = REDACT) -> bytes:
    """What upstream reads of this request, head included."""
    async with serving(folder, policy, FINE) as running:
        status, _ = await ask(running.proxy, path, body, *headers)
        assert status == 200
        return running.requests[0]


async def test_under_load_the_guard_does_not_fail_open(tmp_path: Path) -> None:
    """Row 6 (litellm 30728): every one of many requests at once is read."""
    async with serving(tmp_path, REDACT, FINE) as running:
        bodies = [asking(f"{number}: {TOKEN} {EMAIL}") for number in range(60)]
        answers = await asyncio.gather(*(ask(running.proxy, CHAT, body) for body in bodies))
        assert [status for status, _ in answers] == [200] * 60
        assert len(running.requests) == 60
        for request in running.requests:
            assert TOKEN.encode() not in request and EMAIL.encode() not in request


def test_responses_input_is_not_skipped(behind: Behind, stand_in: StandIn) -> None:
    """Row 6: items and instructions are read like messages."""
    client = behind(GUARDED).openai(max_retries=0)
    raw = client.responses.with_raw_response
    with contextlib.suppress(APIStatusError):  # what the stand-in answers does not matter, only what went up
        raw.create(model=OPENAI_MODEL, input=[{"role": "user", "content": f"the key {TOKEN}"}], instructions=TOKEN)
    assert stand_in.requests
    assert not [request for request in stand_in.requests if TOKEN in request.text]
    assert "[REDACTED:github_token]" in stand_in.requests[0].text


def breaking(*_: Any, **__: Any) -> Any:
    raise RuntimeError("injected")


@pytest.mark.parametrize("policy", [REDACT, "failure: closed\n" + REDACT], ids=["by default", "as written"])
async def test_fail_closed_is_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str) -> None:
    """Row 7 (langwatch 6157): a detector that fails ends the request; upstream is not even dialled."""
    async with serving(tmp_path, policy, FINE) as running:
        monkeypatch.setattr(FindingCache, "scan", breaking)
        status, body = await ask(running.proxy, CHAT, asking("hello"))
        assert (status, running.proxy.upstream.connections) == (500, 0)
    assert "could not be decided" in orjson.loads(body)["error"]["message"]


async def test_fail_open_is_possible_where_the_user_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row 8 (litellm 19779, agentgateway 1832): and the audit log says that it happened."""
    async with serving(tmp_path, "failure: open\n" + REDACT, FINE) as running:
        monkeypatch.setattr(FindingCache, "scan", breaking)
        status, _ = await ask(running.proxy, CHAT, asking("hello"))
        assert (status, len(running.requests)) == (200, 1)
    records = [json.loads(line) for line in (tmp_path / "audit" / "worker-0.jsonl").read_text().splitlines()]
    assert [record["policy"] for record in records if record.get("component") == "exchange"] == ["open", "open"]


def openai_history(arguments: str, result: Any) -> bytes:
    function = {"name": "look", "arguments": arguments}
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    ]
    return orjson.dumps({"model": "gpt-5", "messages": messages})


def anthropic_history(arguments: Any, result: Any) -> bytes:
    messages = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "look", "input": arguments}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": result}]},
    ]
    return orjson.dumps({"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": messages})


PART = [{"type": "text", "text": f"export KEY={TOKEN}"}]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, openai_history("{}", PART[0]["text"])),
        (CHAT, openai_history("{}", PART)),
        (MESSAGES, anthropic_history({}, PART[0]["text"])),
        (MESSAGES, anthropic_history({}, PART)),
    ],
)
async def test_tool_results_are_scanned(tmp_path: Path, path: str, body: bytes) -> None:
    """Row 9 (agentgateway 2955, litellm 14612)."""
    assert body_of(await sent(tmp_path, body, path=path)) == body.replace(TOKEN.encode(), b"[REDACTED:github_token]")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, openai_history(json.dumps({"env": [{"KEY": TOKEN}]}), "ok")),
        (CHAT, openai_history(json.dumps({f"KEY={TOKEN}": 1}), "ok")),
        (MESSAGES, anthropic_history({"env": [{"KEY": TOKEN}]}, "ok")),
        (MESSAGES, anthropic_history({f"KEY={TOKEN}": 1}, "ok")),
    ],
)
async def test_tool_arguments_in_the_history_are_scanned(tmp_path: Path, path: str, body: bytes) -> None:
    """Row 10 (litellm 41265, 41274)."""
    assert body_of(await sent(tmp_path, body, path=path)) == body.replace(TOKEN.encode(), b"[REDACTED:github_token]")


async def test_prompt_caches_keep_hitting(tmp_path: Path) -> None:
    """Row 13 (headroom 1042, lean-ctx 1545, caveman 1105): what was sent once is a prefix of the next turn, redactions,
    placeholders and all, after a restart too."""
    first = [{"role": "user", "content": f"Key {TOKEN}, mail {EMAIL}."}]
    turns = []
    for more in ([], [{"role": "assistant", "content": "Noted."}, {"role": "user", "content": f"{EMAIL} again"}]):
        body = orjson.dumps({"model": "gpt-5", "messages": [*first, *more]})
        turns.append(body_of(await sent(tmp_path, body)))
    assert TOKEN.encode() not in turns[1] and EMAIL.encode() not in turns[1]
    assert turns[1].startswith(turns[0].removesuffix(b"]}"))


async def test_an_edit_leaves_the_rest_of_the_prefix_byte_for_byte(tmp_path: Path) -> None:
    """Row 13: spacing, order, escapes and numbers beside an edit are the client's own."""
    body = '{ "model":"gpt-5" ,"temperature":1.0e0, "messages":[ {"content":"\\u00fc\\/ %s", "role" :"user"} ]}\n'
    got = body_of(await sent(tmp_path, (body % TOKEN).encode()))
    assert got.decode() == body % "[REDACTED:github_token]"


SIGNATURE = f"EqQBCkYIBxgCKkDx{TOKEN}Zm9vYmFyCg=="
THINKING = [
    {"type": "thinking", "thinking": "The user wants 4.", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": SIGNATURE},
    {"type": "text", "text": "4"},
]


async def test_signed_thinking_survives(tmp_path: Path) -> None:
    """Rows 14 (headroom 2251, CLIProxyAPI 2172) and 15 (secretgate 11): nothing signed is edited, although a run in
    the signature looks like a key, and what is not signed beside it is."""
    messages = [{"role": "assistant", "content": THINKING}, {"role": "user", "content": f"and {TOKEN}"}]
    body = orjson.dumps({"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": messages})
    got = orjson.loads(body_of(await sent(tmp_path, body, path=MESSAGES)))
    assert got["messages"] == [messages[0], {"role": "user", "content": "and [REDACTED:github_token]"}]


async def test_signed_thinking_comes_down_as_it_was(tmp_path: Path) -> None:
    """Rows 14 and 15, on the way down: or the next turn would fail."""
    message = {"type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": THINKING}
    body = orjson.dumps({**message, "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}})
    async with serving(tmp_path, REDACT, answer(body)) as running:
        assert await ask(running.proxy, MESSAGES, asking("2+2?")) == (200, body)


async def test_unknown_fields_and_beta_headers_pass(tmp_path: Path) -> None:
    """Row 18 (agentgateway 1777, 9router 4196, claude-code 59536)."""
    body = asking("hello", brand_new={"deep": [1, {"er": "text"}]}, context_management={"edits": []})
    headers = ("anthropic-beta: brand-new-2027-01-01,other-2026-09-09", "X-Stainless-Lang: python")
    got = await sent(tmp_path, body, *headers, path=MESSAGES)
    assert body_of(got) == body
    for header in headers:
        assert header.encode() in got


HARMLESS = [
    "2026-11-21T08:07:23.123456Z",
    "1763712443123456789",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "9b2d8f6e-8c53-4a8a-9f0a-6f3c5c1d2e4b",
    "data:image/png;base64,"
    + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "sha512-" + "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
]


async def test_timestamps_hashes_uuids_and_base64_are_not_secrets(tmp_path: Path) -> None:
    """Row 28 (llmgateway 3641, forge 283, pentect 398)."""
    body = asking("\n".join(HARMLESS))
    assert body_of(await sent(tmp_path, body)) == body
