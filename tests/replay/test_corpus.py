"""All recorded traffic replayed: untouched is identical, an edit changes its spans alone, cuts do not matter.

The recordings are data beside the project; without them there is nothing to test.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from proxy.codecs import DecodeError, providers
from proxy.codecs.codec import Codec
from proxy.codecs.framings.choose import choose
from proxy.codecs.walk import SEALED
from proxy.decision import Decision
from proxy.detectors import Detectors
from proxy.detectors.history import FindingCache
from proxy.detectors.rules import Rule
from proxy.detectors.scanner import Scanner
from proxy.detectors.windows import Ruled
from proxy.encoding import decode_body
from proxy.events import Agent, Event
from proxy.judge import Runtime
from proxy.policy import Policy
from proxy.replay import corpus
from proxy.replay.player import Played, Player
from proxy.replay.recordings import Recording
from tests.judging import KEY, policy
from tests.shared import SHARED, needs_shared

pytestmark = [needs_shared, pytest.mark.timeout(600)]

NOTHING = "version: 1\n"
WORD, PUT = re.compile("(?<![A-Za-z])the(?![A-Za-z])"), "[REDACTED:word]"
REDACTS = """
version: 1
rules:
  - {id: word, at: [pre_llm_request, post_llm_response, pre_tool_execution, post_tool_execution], find: [secret],
     verdict: modify, edit: redact}
"""


def words() -> Detectors:
    """Detectors that know one word."""
    rule = Rule(
        id="word",
        kind="word",
        pattern="the",
        not_before="A-Za-z",
        not_after="A-Za-z",
        description="A word that is in most texts, so that most of them change.",
        examples=("in the house", "on the way"),
        negatives=("other", "bathe"),
        references=("https://example.com",),
    )
    return Detectors(Scanner([Ruled("secret", rule)], None), None, "words")


def player(rules: Policy, detectors: Detectors, seed: int | None = None) -> Player:
    told: list[tuple[Event, Decision]] = []
    cache_ = FindingCache(detectors, KEY, 1000)
    runtime = Runtime(rules, detectors, cache_, KEY, lambda event, decision: None, lambda *pair: told.append(pair))
    return Player(runtime, told, Agent(id="t"), seed)


@cache
def recordings() -> list[Recording]:
    return [one for path in sorted((SHARED / "corpus").glob("*.jsonl.gz")) for one in corpus.read(path)]


class Seen(NamedTuple):
    up: str
    down: str
    error: str | None


def _seen(played: Played) -> Seen:
    up, down = (hashlib.sha256(side.sent).hexdigest() for side in (played.up, played.down))
    return Seen(up, down, played.error)


@pytest.mark.parametrize("seed", [None, 1])
def test_untouched_is_identical(seed: int | None) -> None:
    one = player(policy(NOTHING), words(), seed)
    for recording in recordings():
        played = one.play(recording)
        assert not played.up.changed, recording.source
        assert not played.down.changed, recording.source
        assert (played.up.sent, played.down.sent) == (played.up.recorded, played.down.recorded), recording.source


def test_every_event_of_the_contract_is_told() -> None:
    one = player(policy(NOTHING), words())
    points = Counter(str(event.point) for recording in recordings() for event, _ in one.play(recording).told)
    points.update(str(event.point) for event, _ in one.end())
    assert points.keys() >= {
        *(
            "session_started",
            "session_ended",
            "run_started",
            "pre_llm_request",
            "post_llm_response",
            "pre_tool_execution",
        ),
        *("post_tool_execution", "turn_boundary", "run_completed", "run_failed", "pre_compact"),
    }


def test_an_edit_changes_its_spans_alone() -> None:
    one = player(policy(REDACTS), words())
    changed = Counter[str]()
    for recording in recordings():
        played = one.play(recording)
        if played.route is None or played.error is not None or recording.messages:
            continue
        codec = providers.codec(played.route.codec)
        _check_up(codec, played, changed)
        _check_down(codec, played, changed)
    assert changed.total() > 2000
    assert len(changed) > 15, "formats in which a text was changed"


@pytest.mark.parametrize("seed", [2, 3])
def test_the_output_of_an_edit_does_not_depend_on_the_cuts(seed: int) -> None:
    whole, cut = player(policy(REDACTS), words()), player(policy(REDACTS), words(), seed)
    for recording in recordings():
        if not recording.messages:
            assert _seen(cut.play(recording)) == _seen(whole.play(recording)), recording.source


def _check_up(codec: Codec, played: Played, changed: Counter[str]) -> None:
    if not played.up.changed:
        return
    headers = played.recording.headers
    before = codec.syntax.parse(decode_body(played.up.recorded, headers.get("content-encoding", ""), 1 << 30))
    _alike(before, codec.syntax.parse(played.up.sent), (), played.recording.source)
    changed[codec.name] += 1


def _check_down(codec: Codec, played: Played, changed: Counter[str]) -> None:
    if not played.down.changed:
        return
    coding = played.recording.answer_headers.get("content-encoding", "")
    kind = played.recording.answer_headers.get("content-type", "")
    before, after = decode_body(played.down.recorded, coding, 1 << 30), played.down.sent
    frames = choose(kind, before, codec.framings) if played.streaming else None
    if frames is None or isinstance(frames, str):
        _alike(codec.of_answers.parse(before), codec.of_answers.parse(after), (), played.recording.source)
    elif codec.by_message:
        for one, other in zip(_documents(codec, kind, before), _documents(codec, kind, after), strict=True):
            _alike(one, other, (), played.recording.source)
    else:
        told, sealed = _texts(codec, kind, before)
        expected = {channel: text if channel in sealed else WORD.sub(PUT, text) for channel, text in told.items()}
        left = _texts(codec, kind, after)[0]
        dropped = expected.keys() - left.keys()  # annotations with offsets into a text that has changed
        assert all("annotation" in str(channel) or "citation" in str(channel) for channel in dropped), dropped
        assert left == {channel: text for channel, text in expected.items() if channel in left}, played.recording.source
    changed[codec.name] += 1


def _documents(codec: Codec, kind: str, raw: bytes) -> Iterator[Any]:
    frames = choose(kind, raw, codec.framings)
    assert frames is not None
    assert not isinstance(frames, str)
    for frame in [*frames.feed(raw), *frames.finish()]:
        if frame.data and not frames.is_end(frame):
            try:
                yield codec.of_events.parse(frame.data)
            except DecodeError:
                yield frame.data.decode()


def _texts(codec: Codec, kind: str, raw: bytes) -> tuple[dict[Any, str], set[Any]]:
    """Growing texts by channel, and the sealed ones; what stands alone, whole documents are compared for."""
    reader = codec.stream_reader()
    texts: dict[Any, str] = {}
    sealed: set[Any] = set()
    for document in _documents(codec, kind, raw):
        reading = reader.read(document)
        sealed |= set(reading.sealed)
        for channel, _, text in reading.fragments:
            if "once" not in channel:
                texts[channel] = texts.get(channel, "") + text
    return texts, sealed


def _alike(before: Any, after: Any, path: tuple[Any, ...], where: str) -> None:
    """The same document but for the word in texts; sealed fields as they were."""
    if isinstance(before, str):
        sealed = path and path[-1] in SEALED
        assert after == before or (not sealed and after == WORD.sub(PUT, before)), (where, path)
    elif isinstance(before, dict):
        assert list(before) == list(after) or set(after) < set(before), (where, path)
        for name, value in after.items():
            _alike(before[name], value, (*path, name), where)
    elif isinstance(before, list):
        if len(before) == len(after):  # else: copies of an edited text that were dropped
            for index, value in enumerate(before):
                _alike(value, after[index], (*path, index), where)
    else:
        assert before == after, (where, path)
