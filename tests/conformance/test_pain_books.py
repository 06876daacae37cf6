"""Budgets, trust and the audit log: what users of this field's tools ran into (pain-points.md, rows 19-22, 24 and 30),
through the running proxy."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.config import inherited
from proxy.demo.answers import Answer, Text
from proxy.demo.stand_in import StandIn
from tests.behind import CHAT, answer, asking, saying, serving
from tests.judging import REDACT
from tests.scripted import ask, ledgers
from tests.sdk.conftest import OPENAI_MODEL, Behind, behind
from tests.serving import GUARDED

__all__ = ["behind"]  # a fixture

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
FINE = answer(saying("fine"))


def using(**usage: Any) -> bytes:
    counts = {"prompt_tokens": 10_000, "completion_tokens": 100, **usage}
    return answer(orjson.dumps({**orjson.loads(saying("fine")), "usage": counts}))


def budget(**limit: float) -> str:
    return f"version: 1\nbudgets: [{{id: day, per: agent, window: day, limit: {json.dumps(limit)}}}]\n"


def cost(behind: Behind, stand_in: StandIn, cached: int) -> int:
    """What an answer to 10,000 tokens cost, in nano-USD, of which `cached` came from the cache."""
    stand_in.scenario = lambda _: Answer((Text("fine"),), input_tokens=10_000, cached_tokens=cached)
    messages = [{"role": "user", "content": "hello"}]
    behind(GUARDED).openai().chat.completions.create(model=OPENAI_MODEL, messages=messages)
    (log,) = (behind.served(GUARDED).state / "audit").glob("*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return int([record["nano_usd"] for record in records if record["kind"] == "exchange"][-1])


def test_cached_tokens_are_priced_as_such(behind: Behind, stand_in: StandIn) -> None:
    """Row 19 (litellm 11364, candela 189): cached input is cheaper, and free it is not."""
    plain = cost(behind, stand_in, cached=0)
    cached = cost(behind, stand_in, cached=10_000)
    assert 0 < cached < plain / 2


async def test_reasoning_tokens_are_output(tmp_path: Path) -> None:
    """Row 19 (litellm 28009): they are in `completion_tokens` already, and not counted twice."""
    for number, details in enumerate([{}, {"completion_tokens_details": {"reasoning_tokens": 90}}], 1):
        async with serving(tmp_path, budget(tokens=50_000), using(prompt_tokens=100, **details)) as running:
            assert (await ask(running.proxy, CHAT, asking("hello")))[0] == 200
        (row,) = await ledgers(tmp_path)
        assert row.used.tokens == 200 * number


async def test_concurrent_requests_cannot_bypass_a_budget(tmp_path: Path) -> None:
    """Row 21 (litellm 34732, 35524): of many at once exactly as many go up as there is room for."""
    async with serving(tmp_path, budget(requests=5), FINE) as running:
        answers = await asyncio.gather(*(ask(running.proxy, CHAT, asking("hello")) for _ in range(20)))
        assert len(running.requests) == 5
    assert sorted(status for status, _ in answers) == [200] * 5 + [400] * 15


async def test_an_unknown_price_is_no_bypass(tmp_path: Path) -> None:
    """Row 21 (litellm 40095): a model that no price list names costs what the dearest does."""
    async with serving(tmp_path, budget(usd=0.0001), FINE) as running:
        status, body = await ask(running.proxy, CHAT, asking("hello", model="nobody-knows-this-1"))
        assert (status, running.requests) == (400, [])
    assert "Budget day" in orjson.loads(body)["error"]["message"]


async def test_a_worst_case_reservation_does_not_starve_an_agent(tmp_path: Path) -> None:
    """Row 22 (litellm 38647): an agent that may ask for more than is left, but does not use it, goes on."""
    async with serving(tmp_path, budget(tokens=50_000), using(prompt_tokens=100)) as running:
        for _ in range(5):
            status, _ = await ask(running.proxy, CHAT, asking("hello", max_tokens=128_000))
            assert status == 200


FETCH = """
import json, urllib.request
body = {"model": "gpt-5.4-mini", "messages": [{"role": "user", "content": "hello"}]}
headers = {"content-type": "application/json"}
request = urllib.request.Request("https://api.openai.com/v1/chat/completions", json.dumps(body).encode(), headers)
print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["role"])
"""
"""A client that knows nothing but its environment."""


def test_trust_is_one_command_also_behind_a_private_upstream_ca(tmp_path: Path, stand_in: StandIn) -> None:
    """Row 24 (claude-code 10458, hermes-agent 94482, agent-sandbox 132, sandcat 92): no sudo, nothing installed."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(REDACT)
    line = [sys.executable, "-m", "proxy", "run", "-p", str(policy), "--state", str(tmp_path / "state")]
    line += ["--upstream-ca", str(stand_in.ca_file), f"--connect-to=api.openai.com={stand_in.address}"]
    done = subprocess.run(
        [*line, "--", sys.executable, "-c", FETCH],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={name: value for name, value in inherited().items() if not name.startswith("MIDSTREAM_")},
    )
    assert (done.returncode, done.stdout) == (0, "assistant\n"), done.stderr
    assert len(stand_in.requests) == 1


# The audit log


async def audited(folder: Path, times: int) -> Path:
    """The audit file after this many redacted requests to a midstream that was started and stopped."""
    async with serving(folder, REDACT, FINE) as running:
        for _ in range(times):
            await ask(running.proxy, CHAT, asking(f"{TOKEN}"))
    return folder / "audit" / "worker-0.jsonl"


def verified(path: Path) -> int:
    """Exit status of `midstream audit verify`."""
    line = [sys.executable, "-m", "proxy", "audit", "verify", "--state", str(path.parent.parent)]
    return subprocess.run(line, capture_output=True, timeout=60, check=False).returncode


DAMAGE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "edited": lambda lines: [lines[0], lines[1].replace(b"modify", b"permit"), *lines[2:]],
    "removed": lambda lines: [lines[0], *lines[2:]],
    "reordered": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "forked": lambda lines: [*lines, lines[-1]],
    "torn": lambda lines: [*lines[:-1], lines[-1][:-9]],
    "cut at the front": lambda lines: lines[1:],
}


async def test_the_audit_chain_goes_on_over_restarts(tmp_path: Path) -> None:
    """Row 30 (fak 5876, agent-bom 4185, mvm 2365): one chain, however often midstream is started."""
    await audited(tmp_path, 1)
    path = await audited(tmp_path, 1)
    assert await asyncio.to_thread(verified, path) == 0
    sequence = [json.loads(line)["seq"] for line in path.read_bytes().splitlines()]
    assert sequence == list(range(1, len(sequence) + 1))


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_was_done_to_the_audit_chain_is_found(tmp_path: Path, damage: str) -> None:
    """Row 30 (agent-bom 4185, microsoft-agentic-harness 416): forks and truncation in the chain. A tail cut off at a
    line's end takes anchored heads to find, and rotation is not there yet."""
    path = await audited(tmp_path, 2)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = DAMAGE[damage](lines)
    assert damaged != lines
    path.write_bytes(b"".join(damaged))
    assert await asyncio.to_thread(verified, path) == 1
