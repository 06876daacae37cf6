"""The commands that report: each yields the lines of its report. `cli` parses their arguments and prints the lines.

Nothing is decided or formatted for the terminal here beyond one text a line; modules are imported when a command is
called, so that `midstream --help` stays quick.
"""

import asyncio
import gzip
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple, cast

import orjson

from proxy.config import Config, ConfigError, default_cache, inherited, prepared

if TYPE_CHECKING:
    from proxy.decision import Finding
    from proxy.effects.budget import Row
    from proxy.replay.run import Options

JSONL: Final = (".jsonl", ".jsonl.gz")


class Raw(NamedTuple):
    """A value that is JSON already."""

    json: bytes


class Line(NamedTuple):
    """One line of a report: the value for --json, the text for people (none if empty), and whether it is bad news."""

    value: Any
    text: str = ""
    failed: bool = False


def counted(number: int, noun: str) -> str:
    """`1 rule`, `2,000 rules`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# -- scan


def scan(source: str, *, jsonl: bool) -> Iterator[Line]:
    """Findings of every detector in a file, in `-` (standard input), or in the texts of a JSONL file."""
    from proxy.detectors import CLASSES, Detectors

    detectors = Detectors.load(cache_dir=default_cache())
    for index, text in enumerate(_texts(source, jsonl or source.endswith(JSONL))):
        found = [*detectors.scan(text, CLASSES - {"pseudonym"}), *detectors.scan_tool_output(text, ())]
        yield _scanned(index, text, sorted(found, key=lambda finding: (finding.start, finding.end)))


def _scanned(index: int, text: str, findings: "Sequence[Finding]") -> Line:
    from proxy.decision import Edit, EditKind
    from proxy.effects import redact
    from proxy.effects.pseudonymise import Pseudonyms

    ordered = [(finding, Edit(EditKind.REDACT)) for finding in findings]
    redacted = redact.apply(text, redact.text_edits(text, ordered, Pseudonyms(b"")))
    shown = [
        {"class": finding.cls, **{k: v for k, v in finding._asdict().items() if k != "cls"}} for finding in findings
    ]
    value = {"index": index, "findings": shown, "redacted": redacted}
    told = (f"{index}: {f.start}-{f.end}: {f.cls}/{f.kind} ({f.rule}, {f.score:.2f})" for f in findings)
    return Line(value, "\n".join(told), failed=bool(findings))


def _texts(source: str, jsonl: bool) -> Iterator[str]:
    try:
        with _opened(source) as lines:
            if jsonl:
                yield from (_text_of(source, number, line) for number, line in enumerate(lines, 1) if line.strip())
            else:
                yield lines.read().decode("utf-8", "replace")
    except (OSError, EOFError) as error:
        raise ConfigError(f"{source} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _opened(source: str) -> AbstractContextManager[BinaryIO]:
    if source == "-":
        return nullcontext(sys.stdin.buffer)
    return cast(BinaryIO, gzip.open(source)) if source.endswith(".gz") else Path(source).open("rb")


def _text_of(source: str, number: int, line: bytes) -> str:
    try:
        text = orjson.loads(line)["text"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ConfigError(f'{source}:{number}: not a JSON object with a "text"')
    return text


# -- replay


def replay(recordings: Sequence[str], options: "Options") -> Iterator[Line]:
    """What would have happened to every recorded exchange; a summary last."""
    from proxy.replay import run

    total: Counter[str] = Counter()
    for told in run.summed(run.replay(run.files(recordings), options), total):
        if told.line or told.text:
            yield Line(Raw(told.line), told.text, told.failed)
    yield Line(*run.summary(total, compared=bool(options.against)))


# -- budgets, audit, certs


def budgets(config: Config) -> Iterator[Line]:
    """Every ledger of a running window."""
    for row in asyncio.run(_ledgers(config)):
        yield _ledger(row)


async def _ledgers(config: Config) -> "list[Row]":
    from proxy.effects.budget import report
    from proxy.store import open_store

    store = await open_store(config.store, prepared(config).state)
    try:
        return await report(store)
    finally:
        await store.close()


def _ledger(row: "Row") -> Line:
    amounts = {name: getattr(row, name)._asdict() for name in ("used", "reserved", "limit")}
    whose = {key: value for key, value in (("agent", row.agent), ("model", row.model)) if value}
    value = {"budget": row.budget, **whose, "window": row.window, "resets_at": row.resets_at, **amounts}
    resets = datetime.fromtimestamp(row.resets_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    spent = ", ".join(_measure(amounts, measure) for measure, limit in row.limit._asdict().items() if limit is not None)
    return Line(value, f"{row.budget} {' '.join(whose.values()) or 'everyone'} {row.window}: {spent}; resets {resets}")


def _measure(amounts: dict[str, dict[str, int]], measure: str) -> str:
    used, held, limit = (amounts[name][measure] for name in ("used", "reserved", "limit"))
    if measure == "nano_usd":
        return f"{used / 1e9:.4f} + {held / 1e9:.4f} of {limit / 1e9:.2f} USD"
    return f"{used:,} + {held:,} of {limit:,} {measure}"


def audit_verify(files: Sequence[str], config: Config) -> Iterator[Line]:
    """Whether the hash chains of these files, or of all in the state directory, hold."""
    from proxy.audit.chain import verify

    paths = [Path(file) for file in files] or sorted((config.state / "audit").glob("*.jsonl"))
    if not paths:
        raise ConfigError(f"no audit log in {config.state / 'audit'}")
    for path in paths:
        try:
            problems = verify(path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        told = [{"line": problem.line, "message": problem.message} for problem in problems]
        text = "\n".join(f"{path}:{problem.line}: {problem.message}" for problem in problems)
        yield Line({"file": str(path), "problems": told}, text or f"{path}: the chain holds", failed=bool(problems))


def certs(what: str, proxy_url: str, config: Config) -> Iterator[Line]:
    """`path`: where the CA is. `env`: exports that make a client use the proxy and trust it."""
    from certs import bundle, trust

    authority = bundle.prepare(prepared(config).state, inherited())
    if what == "path":
        yield Line({"ca": str(authority.certificate), "bundle": str(authority.bundle)}, str(authority.certificate))
        return
    variables = trust.environment(proxy_url, authority.certificate, authority.bundle)
    yield Line(variables, "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items()))


# -- policies


def test(policies: Iterable[str]) -> Iterator[Line]:
    """Every case of the tests beside these policies; what went otherwise than expected is bad news."""
    from proxy.policy_test import results

    passed = total = 0
    for result in results(policies):
        total, passed = total + 1, passed + (not result.problem)
        value = {"file": result.file, "line": result.line, "case": result.case, "problem": result.problem or None}
        yield Line(value, str(result) if result.problem else "", failed=bool(result.problem))
    yield Line({"passed": passed, "total": total}, f"{passed} of {counted(total, 'case')} as expected")


def check(policies: Iterable[str]) -> Iterator[Line]:
    """Whether these policies are valid; every problem, where they are not."""
    from proxy.policy import PolicyError, load

    try:
        policy = load(policies)
    except PolicyError as error:
        for problem in error.problems:
            yield Line(problem._asdict(), str(problem), failed=True)
        return
    counts = {"rules": len(policy.rules), "budgets": len(policy.budgets)}
    value = {"valid": True, "files": list(policy.files), "revision": policy.revision, **counts}
    told = [counted(len(policy.files), "file"), *(counted(count, name[:-1]) for name, count in counts.items())]
    yield Line(value, f"valid: {', '.join(told)}")


def schema() -> Iterator[Line]:
    """The JSON Schema of a policy file."""
    from proxy import policy

    text = policy.schema()
    yield Line(orjson.loads(text), text.rstrip("\n"))
