"""`python -m bench [--json] [--rounds N] [--only MEASURE]…`: parse, run everything interleaved, print."""

import argparse
import asyncio
import json
import platform
import sys
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import measures, report
from bench.client import Route
from bench.measures import Contender, Load, Measure
from bench.proxies import PROVIDER, Running, midstream, mitmdump, upstream
from proxy.demo.authority import issue

MEASURES: dict[str, Measure] = {
    "memory": measures.memory,  # first: afterwards freed memory of the other loads would be used again
    "requests_http1": measures.requests_http1,
    "requests_http2": measures.requests_http2,
    "burst": measures.burst,
    "paced": measures.paced,
    "first_token": measures.first_token,
    "upload": measures.upload,
}
STREAMS = ("burst", "paced", "first_token", "memory")
"""Measures in which stock streams: buffered, its first token would be its last."""
CHAT, PLAIN = "/v1/chat/completions", "/plain"


class Field:
    """Everything that runs, all of it idle but for the one being measured."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        files = issue(folder / "upstream")
        self.upstream = stack.enter_context(upstream(files.leaf, files.ca))
        port, ca = self.upstream.port, files.ca
        self.stock = stack.enter_context(mitmdump(folder / "stock", port, ca, streaming=False))
        self.streaming = stack.enter_context(mitmdump(folder / "streaming", port, ca, streaming=True))
        self.bare = stack.enter_context(midstream(folder / "bare", port, ca))
        self.baseline = stack.enter_context(midstream(folder / "baseline", port, ca, "policies/baseline.yaml"))

    def contenders(self, measure: str) -> list[Contender]:
        """The columns of one measure, in the order in which they take turns."""
        stock = self.streaming if measure in STREAMS else self.stock
        contenders = [
            self._at_provider(report.STOCK, stock),
            self._at_provider(report.NO_POLICY, self.bare),
            self._at_provider(report.BASELINE, self.baseline),
        ]
        if measure != "memory":  # it would measure the baseline's process twice, the second time with memory to reuse
            contenders.insert(1, self._unmatched())
        if measure == "first_token":
            contenders.append(self._direct())
        return contenders

    def idle(self) -> dict[tuple[str, str], list[float]]:
        """Resident memory before anything was sent."""
        processes = {report.STOCK: self.stock, report.NO_POLICY: self.bare, report.BASELINE: self.baseline}
        return {("memory_idle", name): [process.rss()] for name, process in processes.items()}

    def _at_provider(self, name: str, process: Running) -> Contender:
        return Contender(name, process, Route(("127.0.0.1", process.port), PROVIDER, 443, CHAT, process.trust))

    def _unmatched(self) -> Contender:
        """A host and path that no codec reads, through the proxy with the most to do."""
        process = self.baseline
        route = Route(("127.0.0.1", process.port), "localhost", self.upstream.port, PLAIN, process.trust)
        return Contender(report.UNMATCHED, process, route)

    def _direct(self) -> Contender:
        process = self.upstream
        route = Route(("127.0.0.1", process.port), PROVIDER, process.port, CHAT, process.trust, proxied=False)
        return Contender(report.DIRECT, process, route)


async def run(field: Field, names: Sequence[str], rounds: int) -> report.Samples:
    """Every measure, its contenders taking turns round by round."""
    samples: defaultdict[tuple[str, str], list[float]] = defaultdict(list, field.idle())
    for name in names:
        for number in range(1 if name == "memory" else rounds):
            for contender in field.contenders(name):
                print(f"{name} {number + 1}/{rounds} {contender.name}", file=sys.stderr)
                for row, values in (await MEASURES[name](contender, number, Load())).items():
                    samples[row, contender.name] += values
    return samples


def main() -> None:
    """Run and print; the exit status says only that it ran, never that it was fast."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every contender (default 5)")
    parser.add_argument("--only", action="append", choices=MEASURES, help="this measure only; may be repeated")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        names = options.only or list(MEASURES)
        samples = asyncio.run(run(Field(stack, Path(folder)), names, options.rounds))
    result = report.figures(samples)
    if options.json:
        print(json.dumps({"python": platform.python_version(), "rounds": options.rounds, "figures": result}))
    else:
        print(f"{report.table(result)}\n\n{report.goals(result)}")


if __name__ == "__main__":
    main()
