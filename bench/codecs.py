"""How fast recorded and very large exchanges are read and decided, on one core, without a network.

    python -m bench.codecs [FOLDER] [--json]          # ../shared/corpus unless told; without recordings, the large ones

Megabytes a CPU second through the replayer's player, so decoding, events and decisions together: once with a policy
that asks for nothing, once with the baseline. Large requests and a long conversation are in OpenAI's chat format.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from bench.traffic import MODEL, chat_request, prose
from proxy.detectors import Detectors
from proxy.detectors.history import FindingCache
from proxy.events import Agent
from proxy.judge import Runtime
from proxy.policy import load
from proxy.replay import corpus
from proxy.replay.player import Played, Player
from proxy.replay.recordings import Recording

CORPUS = Path("../shared/corpus")
URL = "https://api.openai.com/v1/chat/completions"
POLICIES: dict[str, tuple[Path, ...]] = {"no policy": (), "baseline": (Path("policies/baseline.yaml"),)}
LEAST = 100_000
"""Bytes of a format below which its rate says nothing."""


@cache
def _detectors() -> Detectors:
    return Detectors.load()


def player(policies: Iterable[Path]) -> Player:
    """A player as `midstream serve` would decide: nobody watches, nothing is written."""
    key = b"bench" * 8
    cache_ = FindingCache(_detectors(), key, 65_536)
    return Player(Runtime(load(policies), _detectors(), cache_, key, lambda *_: None), [], Agent(id="bench"), None)


def spent(one: Player, recording: Recording) -> tuple[float, Played]:
    """CPU seconds of playing one recording."""
    started = time.process_time()
    played = one.play(recording)
    return time.process_time() - started, played


def bytes_of(recording: Recording) -> int:
    """Everything that travelled."""
    return len(recording.body) + len(recording.answer) + sum(len(message.content) for message in recording.messages)


def recorded(folder: Path) -> dict[str, dict[str, float]]:
    """Format -> MB in all, and MB/s under each policy."""
    recordings = [one for path in sorted(folder.glob("*.jsonl*")) for one in corpus.read(path)]
    size: defaultdict[str, int] = defaultdict(int)
    seconds: dict[str, defaultdict[str, float]] = {name: defaultdict(float) for name in POLICIES}
    for name, policies in POLICIES.items():
        one = player(policies)
        for recording in recordings:
            took, played = spent(one, recording)
            kind = (played.route.codec if played.route else None) or "unrecognised"
            seconds[name][kind] += took
            if name == "baseline":
                size[kind] += (
                    len(recording.body) + len(recording.answer) + sum(len(m.content) for m in recording.messages)
                )
    total = {name: sum(by_kind.values()) for name, by_kind in seconds.items()}
    table = {"all": {"MB": sum(size.values()) / 1e6, **{n: sum(size.values()) / 1e6 / total[n] for n in POLICIES}}}
    for kind, count in sorted(size.items(), key=lambda item: -item[1]):
        if count >= LEAST:
            table[kind] = {"MB": count / 1e6, **{name: count / 1e6 / seconds[name][kind] for name in POLICIES}}
    return table


def conversation(turns: int, seed: int = 0) -> bytes:
    """A request with so many turns of user, call and result."""
    messages: list[object] = [{"role": "system", "content": "You answer in one word."}]
    for turn in range(turns):
        call = {"id": f"call_{turn}", "type": "function", "function": {"name": "read", "arguments": '{"path":"a.txt"}'}}
        messages.append({"role": "user", "content": prose(300, seed + turn)})
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"call_{turn}", "content": prose(500, seed - turn)})
    return json.dumps({"model": MODEL, "messages": messages}).encode()


LARGE: dict[str, Callable[[], bytes]] = {
    "4 MB request": lambda: chat_request(4_000_000, stream=False),
    "40 MB request": lambda: chat_request(40_000_000, stream=False),
    "1,000-turn conversation": lambda: conversation(1000),
}


def large() -> dict[str, dict[str, float]]:
    """What -> MB, and CPU milliseconds under each policy, the first time and with one turn more."""
    table: dict[str, dict[str, float]] = {}
    for what, make in LARGE.items():
        body = make()
        row = table[what] = {"MB": len(body) / 1e6}
        for name, policies in POLICIES.items():
            one = player(policies)
            recording = Recording("large", "large", "POST", URL, {}, body)
            row[f"{name}, first"] = spent(one, recording)[0] * 1e3
            row[f"{name}, again"] = spent(one, recording)[0] * 1e3
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.codecs", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=CORPUS, help="recordings (../shared/corpus)")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    options = parser.parse_args()
    result = {"large": large()}
    if options.folder.is_dir():
        result["recorded"] = recorded(options.folder)
    else:
        print(f"{options.folder}: no recordings here, so none are measured", file=sys.stderr)
    if options.json:
        print(json.dumps(result))
        return
    for what, row in result["large"].items():
        print(f"{what:26}" + "".join(f"{figure:>10.1f} {name}" for name, figure in row.items()))
    for kind, row in result.get("recorded", {}).items():
        print(
            f"{kind:26}"
            + "".join(f"{figure:>10.1f} {name if name == 'MB' else f'MB/s {name}'}" for name, figure in row.items())
        )


if __name__ == "__main__":
    main()
