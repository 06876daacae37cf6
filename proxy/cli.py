"""The command line: parse and print only. What a command does stands in the module it imports when it is called.

Errors are one sentence on stderr. Exit codes: 0 well, 1 a finding or a failed check, 2 wrong usage; `run` exits as
its command does. Every command has `--json`.
"""

import argparse
import asyncio
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import orjson

from proxy import commands
from proxy import config as settings
from proxy.commands import Line
from proxy.config import SETTINGS, Config, ConfigError

_RUN: Final = (
    "connect_to",
    "upstream_ca",
    "store",
    "state",
    "agent",
    "record",
    "record_raw",
    "log_level",
    "log_format",
)

_STATUS: Final = {
    "ConfigError": 2,
    "RecordingError": 2,
    "PolicyError": 2,
    "CAError": 1,
    "DemoError": 1,
    "BundleError": 1,
    "StoreError": 1,
    "AuditError": 1,
    "WorkerError": 1,
    "BudgetUnavailable": 1,
}
"""Errors of our own that are told as they are, by class name: importing their modules would slow every command down."""


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one sentence, and which takes no abbreviated flags: they would not stay unambiguous."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str]) -> int:
    """Run one command line; returns its exit status. Unexpected errors escape (see `__main__`)."""
    own, child = _split(argv)
    try:
        arguments = _parser().parse_args(own)
    except SystemExit as ended:
        return int(ended.code or 0)
    arguments.child = child
    if child and arguments.name != "run":
        return _say("only `midstream run` takes a command after --", 2)
    try:
        return _COMMANDS[arguments.name].call(arguments)
    except Exception as error:
        status = next((_STATUS[cls.__name__] for cls in type(error).__mro__ if cls.__name__ in _STATUS), None)
        if status is None or not type(error).__module__.startswith(("proxy.", "certs.")):
            raise
        return _say(str(error), status)


def wants_debug(argv: Sequence[str]) -> bool:
    """Whether `--log-level debug` or its variable is set, as far as can be told without parsing."""
    own = " ".join(_split(argv)[0])
    return "--log-level debug" in own or "--log-level=debug" in own or settings.debugging()


# -- commands: each takes the parsed arguments and returns the exit status


def _serve(arguments: Namespace) -> int:
    config = _config(arguments)
    from proxy.serve import Running, serve

    def announce(proxy: Running) -> None:
        url, ca = f"http://{proxy.address}", str(proxy.authority.certificate)
        _report([Line({"listening": url, "ca": ca}, f"midstream listening on {url} (CA {ca})")], arguments)

    _warn_without_policy(config)
    return asyncio.run(serve(config, announce))


def _run(arguments: Namespace) -> int:
    if not arguments.child:
        raise ConfigError("give the command to run after --, as in: midstream run -p POLICY -- COMMAND")
    config = _config(arguments)
    from proxy.run import CommandError, run, summary_lines

    _warn_without_policy(config)
    with tempfile.TemporaryDirectory(prefix="midstream-") as temporary:
        if not settings.state_given(vars(arguments)):
            config = replace(config, state=Path(temporary), cache=settings.default_cache())
        try:
            outcome = asyncio.run(run(config, arguments.child))
        except CommandError as error:
            return _say(str(error), error.status)
    if arguments.json:
        sys.stderr.buffer.write(orjson.dumps({"status": outcome.status, **outcome.summary}) + b"\n")
    else:
        for line in summary_lines(outcome.summary):
            _say(line)
    return outcome.status


def _demo(arguments: Namespace) -> int:
    from proxy.demo import main as tour

    return tour(as_json=arguments.json)


def _scan(arguments: Namespace) -> int:
    return _report(commands.scan(arguments.file, jsonl=arguments.jsonl), arguments)


def _replay(arguments: Namespace) -> int:
    config = _config(arguments)
    from proxy.replay.run import Options

    if arguments.audit and not settings.state_given(vars(arguments)):
        raise ConfigError("--audit needs --state DIR, where the audit log is written")
    if arguments.emit is not None:
        arguments.emit.mkdir(parents=True, exist_ok=True)
    _warn_without_policy(config)
    options = Options(
        policies=config.policies,
        against=tuple(Path(path) for path in arguments.against or ()),
        seed=arguments.rechunk,
        emit=arguments.emit,
        state=settings.prepared(config).state if settings.state_given(vars(arguments)) else None,
        audit=arguments.audit,
        cache=settings.default_cache(),
        agent=config.agent or "replay",
        as_json=arguments.json,
    )
    return _report(commands.replay(arguments.recordings, options), arguments)


def _audit(arguments: Namespace) -> int:
    return _report(commands.audit_verify(arguments.files, _config(arguments)), arguments)


def _certs(what: str, arguments: Namespace) -> int:
    return _report(commands.certs(what, getattr(arguments, "proxy", ""), _config(arguments)), arguments)


# -- what commands share


def _config(arguments: Namespace) -> Config:
    return settings.load(vars(arguments), getattr(arguments, "policy", None) or ())


def _files(arguments: Namespace) -> list[str]:
    files = [*(arguments.policy or ()), *arguments.policies]
    if not files:
        raise ConfigError(f"give the policies to {arguments.name}: midstream {arguments.name} FILE…")
    return files


def _report(lines: Iterable[Line], arguments: Namespace) -> int:
    """Print a report, one JSON value or text a line; 1 if any of it is bad news."""
    failed = False
    for line in lines:
        failed |= line.failed
        _print(_json(line.value) if arguments.json else line.text)
    return int(failed)


def _json(value: Any) -> str:
    return (value.json if isinstance(value, commands.Raw) else orjson.dumps(value)).decode()


def _print(text: str) -> None:
    if text:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _say(sentence: str, status: int = 0) -> int:
    """Tell people on stderr."""
    sys.stderr.write(f"midstream: {sentence}\n")
    return status


def _warn_without_policy(config: Config) -> None:
    if not config.policies:
        _say("no policy given (-p): everything is permitted and nothing is redacted")


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Ours, and what stands after the first `--`."""
    at = argv.index("--") if "--" in argv else len(argv)
    return list(argv[:at]), list(argv[at + 1 :])


# -- the command table


class Command(NamedTuple):
    """A command: its line in --help, what it does, the settings it reads, whether it takes -p, its own arguments."""

    help: str
    call: Callable[[Namespace], int]
    settings: tuple[str, ...] = ()
    policy: bool = False
    more: Callable[[argparse.ArgumentParser], object] = lambda parser: None


def _policy_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policies", nargs="*", metavar="FILE", help="policy files or folders")


def _scan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="text, or .jsonl(.gz); - is standard input"
    )
    parser.add_argument("--jsonl", action="store_true", help='the input is JSON lines of {"text"}, whatever its name')


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recordings", nargs="+", metavar="FLOWS", help=".mitm, .flow, .har, .jsonl(.gz), or folders")
    parser.add_argument(
        "--against",
        action="append",
        metavar="FILE",
        help="the policy in force now: show what -p would decide otherwise",
    )
    parser.add_argument("--emit", type=Path, metavar="DIR", help="write the bytes that would have gone up and down")
    parser.add_argument("--rechunk", type=int, metavar="SEED", help="cut every stream at random places first")
    parser.add_argument("--audit", action="store_true", help="write audit records too (with --state)")


def _audit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="*", metavar="FILE", help="audit files (those of the state directory)")


def _env_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--proxy", metavar="URL", default="http://127.0.0.1:8080", help="the proxy (127.0.0.1:8080)")


_COMMANDS: Final[Mapping[str, Command]] = {
    "run": Command("run a command behind its own proxy: midstream run -p POLICY -- COMMAND", _run, _RUN, policy=True),
    "serve": Command("run the proxy until SIGTERM; SIGHUP reloads the policy", _serve, tuple(SETTINGS), policy=True),
    "demo": Command("a tour over real TLS against a stand-in provider", _demo),
    "check": Command("validate policies", lambda a: _report(commands.check(_files(a)), a), (), True, _policy_arguments),
    "test": Command(
        "run the tests beside policies", lambda a: _report(commands.test(_files(a)), a), (), True, _policy_arguments
    ),
    "schema": Command("print the JSON Schema of a policy file", lambda a: _report(commands.schema(), a)),
    "replay": Command(
        "try policies on recorded traffic", _replay, ("state", "agent"), policy=True, more=_replay_arguments
    ),
    "scan": Command("run the detectors on a text", _scan, more=_scan_arguments),
    "budgets": Command(
        "what budgets have spent", lambda a: _report(commands.budgets(_config(a)), a), ("store", "state")
    ),
    "audit verify": Command("check the audit log's hash chain", _audit, ("state",), more=_audit_arguments),
    "certs path": Command("print where the CA is", lambda a: _certs("path", a), ("state",)),
    "certs env": Command(
        "print exports for a client's shell", lambda a: _certs("env", a), ("state",), more=_env_arguments
    ),
}
_GROUPS: Final = {"audit": "the audit log", "certs": "the CA, and what makes clients trust it"}
"""Commands of two words share their first."""


def _parser() -> Parser:
    parser = Parser(prog="midstream", description="A transparent intercepting proxy for model and tool traffic.")
    parser.add_argument("--version", action="version", version=f"midstream {version('midstream')}")
    names = {"": parser.add_subparsers(metavar="COMMAND", required=True)}
    for name, command in _COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if group not in names:
            shared = names[""].add_parser(group, help=_GROUPS[group])
            names[group] = shared.add_subparsers(metavar="WHAT", required=True)
        one = names[group].add_parser(last, help=command.help, description=command.help)
        one.set_defaults(name=name)
        _add(one, command)
    return parser


def _add(parser: Parser, command: Command) -> None:
    if command.policy:
        parser.add_argument(
            "-p", "--policy", action="append", metavar="FILE", help="policy file or folder (repeatable)"
        )
    for name in command.settings:
        setting = SETTINGS[name]
        action = "append" if setting.many else "store"
        parser.add_argument(setting.flag, action=action, metavar=setting.metavar, help=setting.help)
    command.more(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
