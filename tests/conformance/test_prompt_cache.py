"""Prompt caches keep hitting (pain-points row 13: headroom 1042, lean-ctx 1545, caveman 1105).

Providers cache what a request begins with, byte for byte. So of a conversation each request, up to and including its
last message, must be what the next one begins with, whatever was replaced, redacted, denied or cut out in it.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, pairwise
from typing import NamedTuple

import orjson
import pytest

from proxy.codecs import spans
from proxy.judge import Runtime
from tests.conformance.strict import FORMS, LIST, MAIL, WEATHER, Turn
from tests.conformance.strict.talk import Talk, exchange, runtime
from tests.judging import KEY, REDACT

SECRET = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
ADDRESS = "grace.hopper@" + "navy-lab.org"
OTHER = "ann.lee@" + "corp-mail.net"

MESSAGES = {
    "openai_chat": "messages",
    "openai_responses-client": "input",
    "anthropic": "messages",
    "gemini": "contents",
    "bedrock_converse": "messages",
}
each_form = pytest.mark.parametrize("name", MESSAGES)
each_way = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])

CALLS: Sequence[Sequence[tuple[str, dict[str, str]]]] = (
    [(WEATHER, {"what": f"near {ADDRESS}"}), (MAIL, {"what": f"to {OTHER} with {SECRET}"})],
    [(LIST, {"what": f"the home of {ADDRESS}"})],
    [],
)
SCRIPT = [Turn(f"Turn {n}: I ask {ADDRESS}.", f"Thought {n}.", CALLS[n % 3]) for n in range(10)]


class Cached(NamedTuple):
    """A request as a cache sees it: what stands around the messages, and the messages up to the last one's end."""

    before: bytes
    messages: bytes
    behind: bytes


def cached(name: str, request: bytes) -> Cached:
    start, end = spans.locate(request, [(MESSAGES[name],)])[MESSAGES[name],]
    assert request[end - 1 : end] == b"]"
    return Cached(request[:start], request[start : end - 1], request[end:])


def conversation(name: str, running: Iterator[Runtime], *, streamed: bool) -> list[bytes]:
    """Ten requests, each through the next process."""
    talk = Talk(FORMS[name], next(running), streamed, f"{OTHER} says {SECRET}", f"Write {OTHER} again.")
    talk.client.say(f"Use {SECRET} for {ADDRESS}.")
    for turn in SCRIPT:
        talk.step(turn)
        talk.running = next(running)
    assert len(talk.sent) == 10
    return talk.sent


def one(policy: str, key: bytes = KEY) -> Iterator[Runtime]:
    return cycle([runtime(policy, key)])


def assert_prefixes(name: str, sent: Sequence[bytes]) -> None:
    for earlier, later in pairwise(cached(name, request) for request in sent):
        assert (earlier.before, earlier.behind) == (later.before, later.behind)
        assert later.messages.startswith(earlier.messages)
        assert len(later.messages) > len(earlier.messages)


@each_form
@each_way
def test_ten_turns_with_pseudonyms_and_redactions_send_the_same_prefix(name: str, streamed: bool) -> None:
    sent = conversation(name, one(REDACT), streamed=streamed)
    assert_prefixes(name, sent)
    told = b"".join(sent)
    assert SECRET.encode() not in told and ADDRESS.encode() not in told and OTHER.encode() not in told
    assert sent[-1].count(b"PII_email_") > 20 and b"[REDACTED:github_token]" in sent[0]


DENY = """
  - {id: no-mail, at: pre_tool_execution, tools: [send_mail], verdict: deny, reason: it stays}
  - {id: no-list, at: post_tool_execution, tools: [list_files], verdict: deny, reason: it stays}
"""


@each_form
@each_way
def test_denied_calls_and_results_leave_the_prefix_as_it_was(name: str, streamed: bool) -> None:
    sent = conversation(name, one(REDACT + DENY), streamed=streamed)
    assert_prefixes(name, sent)
    assert b"no-mail" in sent[-1] and b"no-list" in sent[-1]


@each_form
def test_the_prefix_is_the_same_after_a_restart_and_in_another_worker(name: str) -> None:
    """Every process of a deployment has the same key; none has seen what the one before it has."""

    def fresh() -> Iterator[Runtime]:
        while True:
            yield runtime(REDACT + DENY)

    alone = conversation(name, one(REDACT + DENY), streamed=True)
    assert conversation(name, fresh(), streamed=True) == alone
    assert conversation(name, cycle([runtime(REDACT + DENY), runtime(REDACT + DENY)]), streamed=True) == alone
    assert conversation(name, one(REDACT + DENY, b"another deployment's key"), streamed=True) != alone


INJECT = "  - {id: context, at: pre_llm_request, verdict: modify, edit: {inject: Today is Monday.}}\n"


@each_form
@each_way
def test_context_added_to_a_turn_stays_behind_the_prefix(name: str, streamed: bool) -> None:
    """The client sends the turn again without it. Everything before it is what the next request begins with: what a
    cache of the turn held is found again, and only what was added is not."""
    sent = conversation(name, one(REDACT + INJECT), streamed=streamed)
    for earlier, later in pairwise(cached(name, request) for request in sent):
        assert (earlier.before, earlier.behind) == (later.before, later.behind)
        added = earlier.messages.rindex(b"Today is Monday.")
        same = next(at for at, byte in enumerate(earlier.messages) if later.messages[at] != byte)
        assert earlier.messages.count(b"Today is Monday.") == 1
        assert same >= added - 80  # a piece or a message of its own begins there
        assert not set(earlier.messages[added + 16 :]) - set(b'"}] ')


BREAKPOINTS: dict[str, Callable[[str], bytes]] = {
    "anthropic": lambda text: orjson.dumps(
        {
            "model": "m",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}],
                }
            ],
        }
    ),
    "bedrock_converse": lambda text: orjson.dumps(
        {
            "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
            "messages": [{"role": "user", "content": [{"text": text}, {"cachePoint": {"type": "default"}}]}],
        }
    ),
}


@pytest.mark.parametrize("name", BREAKPOINTS)
def test_context_is_added_behind_every_breakpoint_that_the_client_set(name: str) -> None:
    request = BREAKPOINTS[name]("How is it?")
    sent = exchange(runtime("version: 1\nrules:\n" + INJECT), name).on_request(request).body
    assert sent is not None
    marked = max(request.rindex(mark) + len(mark) for mark in (b"ephemeral", b"default") if mark in request)
    assert sent[:marked] == request[:marked] and b"Today is Monday." in sent[marked:]
