"""How much the detectors find in the shared benchmarks, how often they are wrong, and what they cost.

    python -m bench.detect [FOLDER]          # ../shared/bench unless told

Only the development share lies there; the figures that count are of the share that is kept back.
"""

import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from proxy.decision import Finding
from proxy.detectors import Detectors

type Row = dict[str, Any]
type Scan = Callable[[str], Sequence[Finding]]

PII = {
    **dict.fromkeys(("PHONE_NUMBER", "PHONE", "TR_PHONE_NUMBER", "PH_MOBILE_NUMBER"), "phone"),
    **dict.fromkeys(("CREDIT_CARD",), "card"),
    **dict.fromkeys(("EMAIL_ADDRESS", "EMAIL"), "email"),
    **dict.fromkeys(("IBAN_CODE",), "iban"),
    **dict.fromkeys(("US_SSN",), "ssn"),
    **dict.fromkeys(("IP_ADDRESS", "IP"), "ip"),
}
"""The benchmarks' names of the structured kinds that we have."""
POSITIVES_A_KIND = 6
"""A rule with a hundred generated examples says no more than one with six (detection-notes.md)."""


class Tally(NamedTuple):
    """What came of one source."""

    found: int
    positives: int
    wrong: int
    negatives: int


def rows(path: Path) -> list[Row]:
    """The rows of one file, positives capped per kind."""
    seen: Counter[str] = Counter()
    kept = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            seen[row["kind"]] += row["label"]
            if not row["label"] or seen[row["kind"]] <= POSITIVES_A_KIND or path.parent.name != "secrets":
                kept.append(row)
    return kept


def documents(given: Iterable[Row], scan: Scan) -> Tally:
    """Texts with any finding, of those with something to find and of those without; spans covered where told."""
    found = positives = wrong = negatives = 0
    for row in given:
        spans = [(one.start, one.end) for one in scan(row["text"])]
        if not row["label"]:
            negatives, wrong = negatives + 1, wrong + bool(spans)
            continue
        positives += 1
        wanted = row.get("spans") if row["source"] in ("gitleaks", "betterleaks") else None
        found += all(_covered(span, spans) for span in wanted) if wanted else bool(spans)
    return Tally(found, positives, wrong, negatives)


def _covered(span: Sequence[Any], found: Sequence[tuple[int, int]]) -> bool:
    return any(start <= span[0] and end >= span[1] for start, end in found)


def personal(given: Iterable[Row], scan: Scan) -> dict[str, tuple[int, int, int]]:
    """By kind: spans covered by a finding of that kind, spans, and findings that touch no span of that kind."""
    tally: dict[str, list[int]] = {kind: [0, 0, 0] for kind in sorted(set(PII.values()))}
    for row in given:
        found = scan(row["text"])
        wanted = [(start, end, PII[name]) for start, end, name in row.get("spans", ()) if name in PII]
        for start, end, kind in wanted:
            tally[kind][1] += 1
            tally[kind][0] += _covered((start, end), [(f.start, f.end) for f in found if f.kind == kind])
        for one in found:
            tally[one.kind][2] += not any(a < one.end and one.start < b and k == one.kind for a, b, k in wanted)
    return {kind: (hit, of, wrong) for kind, (hit, of, wrong) in tally.items()}


def cost(texts: Sequence[str], scan: Scan) -> float:
    """µs per KB of text, best of three rounds."""
    size = sum(map(len, texts)) / 1024
    rounds = []
    for _ in range(3):
        begin = time.perf_counter()
        for text in texts:
            scan(text)
        rounds.append((time.perf_counter() - begin) / size * 1e6)
    return min(rounds)


def main(folder: Path) -> None:
    """Print one line a source."""
    detectors = Detectors.load()
    secret, pii = frozenset({"secret"}), frozenset({"pii"})
    for name, scan in (
        ("secrets", lambda text: detectors.scan(text, secret)),
        ("injection", lambda text: detectors.scan_tool_output(text, ())),
    ):
        everything = {path.name.partition(".")[0]: rows(path) for path in sorted((folder / name).glob("*.jsonl.gz"))}
        for source, given in everything.items():
            print(f"{name:10}{source:30}{_line(documents(given, scan))}")
        texts = [row["text"] for given in everything.values() for row in given]
        print(f"{name:10}{'cost':30}{cost(texts, scan):7.1f} µs/KB of short texts")
    given = [row for path in sorted((folder / "pii").glob("*.jsonl.gz")) for row in rows(path)]
    for kind, (hit, of, wrong) in personal(given, lambda text: detectors.scan(text, pii)).items():
        told = f"recall {hit / of if of else 0:.3f} of {of:5}   wrong {wrong:4} (precision {_of(hit, wrong)})"
        print(f"{'pii':10}{kind:30}{told}")
    spent = cost([row["text"] for row in given], lambda text: detectors.scan(text, pii))
    print(f"{'pii':10}{'cost':30}{spent:7.1f} µs/KB of short texts")
    prose = "\n".join(row["text"] for row in rows(folder / "injection" / "bipia.jsonl.gz") if not row["label"])
    for name, classes in (("secrets", secret), ("pii", pii), ("both", secret | pii)):
        spent = cost([prose], partial(detectors.scan, classes=classes))
        print(f"{name:10}{'cost on benign prose and code':30}{spent:7.1f} µs/KB")


def _of(hit: int, wrong: int) -> str:
    return f"{hit / (hit + wrong):.3f}" if hit + wrong else "–"


def _line(tally: Tally) -> str:
    recall = f"recall {tally.found / tally.positives:.3f} of {tally.positives:5}" if tally.positives else " " * 21
    wrong = f"false positives {tally.wrong / tally.negatives:.3f} of {tally.negatives:5}" if tally.negatives else ""
    return f"{recall:24}   {wrong}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent.parent / "shared" / "bench")
