"""Exchanges without a network: a policy text and a codec, ready to be fed. For tests only."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from proxy.codecs import providers
from proxy.context import Context
from proxy.decision import Decision
from proxy.detectors import Detectors
from proxy.detectors.history import FindingCache
from proxy.events import Agent, Event, Flow
from proxy.exchange import Exchange
from proxy.judge import Runtime
from proxy.policy import Policy, load
from proxy.streamed import Streamed

KEY = b"k" * 32

REDACT = """
version: 1
rules:
  - {id: secrets, at: [pre_llm_request, post_llm_response, pre_tool_execution, post_tool_execution],
     find: [secret], verdict: modify, edit: redact}
  - {id: pii, at: pre_llm_request, find: [pii], verdict: modify, edit: pseudonymise}
"""


@cache
def detectors() -> Detectors:
    """All detectors, compiled once."""
    return Detectors.load()


@cache
def policy(text: str) -> Policy:
    """The policy of this YAML text."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "policy.yaml"
        path.write_text(text)
        return load([path])


class Recorded(list[tuple[Event, Decision]]):
    """Decisions in the order they were recorded."""

    def __call__(self, event: Event, decision: Decision) -> None:
        self.append((event, decision))


def exchange(text: str, codec: Any, record: Recorded | None = None, *, asks_usage: bool = False) -> Exchange:
    """An exchange under this policy, in the format of this codec ("openai_chat", "anthropic", None)."""
    cached = FindingCache(detectors(), KEY, 1000)
    runtime = Runtime(policy(text), detectors(), cached, KEY, Recorded() if record is None else record)
    flow = Flow(id="flow", host="api.example", method="POST", path="/v1/x")
    context = Context(Agent(id="tester"), flow, provider="test", format=codec)
    return Exchange(runtime, providers.codec(codec), context, asks_usage=asks_usage)


def guarded(text: str, codec: Any, chunks: list[bytes], request: bytes = b"") -> bytes:
    """What leaves of a response stream that comes in these chunks, after this request."""
    one = exchange(text, codec)
    if request:
        assert one.on_request(request).refusal is None
    guard = Streamed(one)
    return b"".join([*map(guard.feed, chunks), guard.finish()])
