"""Policies tried on examples: `NAME.test.yaml` holds the cases of `NAME.yaml` beside it. Real detectors, real engine.

A test file is a list of cases; a text may be a list of texts, which are joined, so that no file holds what other tools
take for a live secret:

    - name: a dotenv file is not read
      point: pre_tool_execution
      tool: {name: Read, arguments: {path: /app/.env}}
      expect: {verdict: deny, rule: no-dotenv}
    - name: a key in a prompt is redacted
      point: pre_llm_request
      request: {messages: [["AKIA", "…"]]}
      expect: {verdict: modify, edits: [redact secret/aws_access_key_id]}
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from proxy.codecs import trees
from proxy.decision import Decision, PartFinding
from proxy.detectors import Detectors
from proxy.engine import decide
from proxy.events import Event, Point
from proxy.policy import DetectorSettings, Policy, PolicyError, Problem, is_test, load
from proxy.policy.cases import Case, Expected
from proxy.policy.cases import event as event_of
from proxy.policy.explain import explained
from proxy.policy.source import parse


@dataclass(frozen=True, slots=True)
class Result:
    """How one case went. `problem` is empty where it went as expected."""

    file: str
    line: int
    case: str
    problem: str = ""
    decision: Decision | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        said = f"{place}: {self.case}: " if self.case else f"{place}: "
        return said + (self.problem or "ok")


def results(paths: Iterable[Path | str]) -> Iterator[Result]:
    """Every case of the tests beside these policy files, in these test files, or in these folders.

    A policy or test that cannot be read, a policy without tests and a folder without any are failed results.
    """
    for path in map(Path, paths):
        for file in _test_files(path):
            yield from _file(file)


def test(paths: Iterable[Path | str]) -> tuple[list[str], int]:
    """The lines of a report, failures whole and successes counted, and the exit code: 1 if a case failed."""
    every = list(results(paths))
    failed = [str(result) for result in every if result.problem]
    passed = len(every) - len(failed)
    return [*failed, f"{passed} of {len(every)} cases as expected"], 1 if failed else 0


def _test_files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*.y*ml") if is_test(file)) or [path]
    return [path if is_test(path) else _beside(path)]


def _beside(policy: Path) -> Path:
    return policy.with_name(f"{policy.stem}.test{policy.suffix}")


def _tested(test: Path) -> Path:
    return test.with_name(test.name.replace(".test.", "."))


def _file(file: Path) -> Iterator[Result]:
    if not file.is_file():
        what = "no tests (*.test.yaml) in this folder" if file.is_dir() else "no tests: this file is missing"
        yield Result(str(file), 0, "", what)
        return
    try:
        policy = load([_tested(file)])
        cases = _cases(file)
    except PolicyError as error:
        yield from (Result(problem.file, problem.line, problem.subject, problem.message) for problem in error.problems)
        return
    for line, case in cases:
        yield _tried(str(file), line, case, policy)


def _cases(file: Path) -> list[tuple[int, Case]]:
    source, problems = parse(file.read_bytes(), str(file), list)
    cases: list[tuple[int, Case]] = []
    for index, data in enumerate(source.data):
        try:
            cases.append((source.place((index,)).line, Case.model_validate(data)))
        except ValidationError as error:
            problems += explained(source, error, Case, (index,))
    if not source.data:
        problems.append(Problem(str(file), 1, "", "holds no case"))
    if problems:
        raise PolicyError(problems)
    return cases


def _tried(file: str, line: int, case: Case, policy: Policy) -> Result:
    event = event_of(case)
    decision = decide(policy, event, _findings(policy, case, event))
    problem = "; ".join(_differences(case.expect, decision))
    return Result(file, line, case.name, problem, decision)


def _differences(expected: Expected, decision: Decision) -> Iterator[str]:
    edits = sorted(f"{edit.edit.kind} {edit.finding.cls}/{edit.finding.kind}" for edit in decision.edits)
    actual: Mapping[str, Any] = {
        "verdict": decision.verdict.value,
        "rule": decision.rule.id if decision.rule else "",
        "reason": decision.reason,
        "status": decision.status,
        "edits": edits,
        "inject": list(decision.inject),
    }
    wanted = expected.model_dump(exclude_none=True)
    for name, value in wanted.items():
        plain = sorted(value) if name == "edits" else list(value) if isinstance(value, tuple) else value
        if actual[name] != plain:
            yield f"{name} is {_shown(actual[name])}, expected {_shown(plain)}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "none" if value in ("", None) else str(value)


# findings


def _findings(policy: Policy, case: Case, event: Event) -> list[PartFinding]:
    classes = policy.classes_at(event.point)
    if not classes:
        return []
    detectors = _detectors(policy.detectors)
    found = []
    for index, text in enumerate(_texts(event)):
        seen = detectors.scan(text, classes - {_INJECTION})
        if _INJECTION in classes:
            seen += detectors.scan_tool_output(text, case.offered)
        found += [PartFinding(index, finding) for finding in seen]
    return found


_INJECTION: Final = "injection"


@cache
def _detectors(settings: DetectorSettings) -> Detectors:
    return Detectors.load(
        pii_kinds=settings.pii.kinds,
        injection_threshold=settings.injection.threshold,
        entropy=settings.secret.entropy,
    )


def _texts(event: Event) -> list[str]:
    """The texts that are scanned at the event's point."""
    if event.request:
        return [part.text for part in (*event.request.system, *event.request.messages)]
    if event.response:
        return [part.text for part in event.response.parts]
    if event.tool and event.point is Point.PRE_TOOL_EXECUTION:
        return [text for _, text in trees.leaves(event.tool.arguments)]
    result = event.tool.result if event.tool else None
    return [part.text for part in result.parts] if result else []
