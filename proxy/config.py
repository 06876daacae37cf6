"""Flags and MIDSTREAM_* variables -> one frozen Config. The only reader of the process environment.

Only parsing: each setting is a row of SETTINGS, from which the command line is made too. Flags beat variables beat
defaults. Policies are files, never variables. What settings do stands where they are used.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple


class ConfigError(ValueError):
    """A setting is wrong; the message is one sentence for people and names the flag or variable."""


class Address(NamedTuple):
    """Where to listen or to connect: host name or address (without brackets) and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


DEFAULT_LISTEN: Final = Address("127.0.0.1", 8080)

type Target = tuple[str, int | None]
"""A host whose connections go elsewhere, in lower case; None is any port."""


@dataclass(frozen=True, slots=True)
class Credential:
    """Proxy credentials that the process itself hands out (`run`); those of a policy stand in the policy."""

    agent: str
    token_sha256: str


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of one process. Paths are as given; `state` exists and is writable once `prepared`."""

    policies: tuple[Path, ...] = ()
    listen: Address = DEFAULT_LISTEN
    mode: str = "regular"
    connect_to: Mapping[Target, Address] = field(default_factory=dict)
    upstream_ca: Path | None = None
    workers: int = 1
    store: str | None = None
    state: Path = Path()
    agent: str | None = None
    record: Path | None = None
    record_raw: Path | None = None
    """Who a client without credentials is (a sidecar's one agent), and the name of the agent that `run` starts."""
    grace: float = 30.0
    """Seconds that streams may go on for after the first SIGTERM."""
    log_level: str = "warning"
    log_format: str = "text"
    cache: Path | None = None
    """Where compiled detectors are kept; None is in the state, which `run`'s temporary one would lose each time."""
    credentials: tuple[Credential, ...] = ()
    """Accepted beside the policy's agents. Where there are any, nobody comes in without (`run`'s private proxy)."""


def _text(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds control characters")
    return text


def _agent(text: str) -> str:
    # RFC 7617 §2: a user-id with a colon cannot be told from its password.
    if ":" in text:
        raise ValueError("holds a colon, which proxy credentials cannot")
    return _text(text)


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if bracketed := host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    # RFC 3986 §3.2.2: an IPv6 address stands in brackets, or its last group would be taken for the port.
    if ":" in host and not bracketed:
        raise ValueError("is not HOST:PORT (an IPv6 address stands in brackets)")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("is not HOST:PORT")
    return Address(host, int(port))


def _target(text: str) -> Target:
    bare = text.removeprefix("[").removesuffix("]") if text.endswith("]") else text
    if bare and (":" not in bare or bare != text):
        return bare.lower(), None
    host, port = _address(text)
    return host.lower(), port


def _connect_to(text: str) -> tuple[Target, Address]:
    target, _, address = text.partition("=")
    try:
        return _target(target), _address(address)
    except ValueError as error:
        raise ValueError("is not HOST[:PORT]=ADDRESS:PORT") from error


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError("is not a whole number above zero")
    if int(text) > 1:
        raise ValueError("is not carried out by this version: one worker")
    return int(text)


def _mode(text: str) -> str:
    if text != "regular":
        raise ValueError("is not carried out by this version: regular")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise ValueError("is not a number of seconds from 0 to 86400")
    return seconds


def _pem_file(text: str) -> Path:
    path = Path(text)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in data:
        raise ValueError("holds no PEM certificate")
    return path


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return text

    return parse


class Setting(NamedTuple):
    """A flag `--name` and its variable MIDSTREAM_NAME. A `many` flag is repeated, its variable is comma-separated."""

    name: str
    parse: Callable[[str], Any]
    metavar: str
    help: str
    many: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        return "MIDSTREAM_" + self.name.upper()


_ROWS: Final = (
    Setting("listen", _address, "HOST:PORT", "where the proxy listens (127.0.0.1:8080)"),
    Setting("mode", _mode, "MODE", "how clients reach the proxy (regular)"),
    Setting(
        "connect_to",
        _connect_to,
        "HOST[:PORT]=ADDRESS:PORT",
        "connect elsewhere for HOST, SNI and Host unchanged (repeatable)",
        many=True,
    ),
    Setting("upstream_ca", _pem_file, "FILE", "trust these certificates upstream too"),
    Setting("workers", _count, "N", "worker processes (1)"),
    Setting("store", _text, "URL", "budgets' store: redis://, rediss://, valkey://, sqlite:/// (a file in the state)"),
    Setting("state", Path, "DIR", "state directory: CA, store, audit log (~/.local/state/midstream)"),
    Setting("agent", _agent, "NAME", "the agent's name, where no credentials say it"),
    Setting("record", Path, "FILE.mitm", "write inspected traffic to this file for replay, redacted"),
    Setting("record_raw", Path, "FILE.mitm", "the same with every secret in it"),
    Setting("grace", _seconds, "SECONDS", "how long streams may finish after SIGTERM (30)"),
    Setting("log_level", _one_of("debug", "info", "warning", "error"), "LEVEL", "debug, info, warning or error"),
    Setting("log_format", _one_of("text", "json"), "FORMAT", "text or json"),
)
SETTINGS: Final = {setting.name: setting for setting in _ROWS}


def load(
    flags: Mapping[str, str | Sequence[str] | None],
    policies: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The Config of these flags (by setting name; None or absent = not given) and the environment.

    Raises ConfigError, naming the flag or variable that is wrong.
    """
    environ = os.environ if environ is None else environ
    values = {name: _value(setting, flags, environ) for name, setting in SETTINGS.items()}
    values = {name: value for name, value in values.items() if value is not None}
    if "connect_to" in values:
        values["connect_to"] = dict(values["connect_to"])
    values.setdefault("state", default_state(environ))
    return Config(policies=tuple(Path(path) for path in policies), **values)


def _value(setting: Setting, flags: Mapping[str, str | Sequence[str] | None], environ: Mapping[str, str]) -> Any:
    given = flags.get(setting.name)
    if given:
        return _parse(setting, setting.flag, given)
    # An empty variable is an unset one, as for the XDG variables and most container manifests.
    if inherited := environ.get(setting.variable):
        return _parse(setting, setting.variable, inherited.split(",") if setting.many else inherited)
    return _parse(setting, setting.flag, given) if given is not None and not setting.many else None


def _parse(setting: Setting, source: str, given: str | Sequence[str]) -> Any:
    if not isinstance(given, str):
        return [_parse(setting, source, text.strip()) for text in given]
    try:
        return setting.parse(given)
    except ValueError as error:
        raise ConfigError(f"{source}: {given!r} {error}") from error


def default_state(environ: Mapping[str, str]) -> Path:
    """Where state lives without `--state`: the XDG base directory specification's state home."""
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".local/state")
    return Path(home) / "midstream"


def default_cache() -> Path | None:
    """The user's cache directory for midstream, made if need be; None where there can be none."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME") and os.environ["HOME"] + "/.cache")
    if not home:
        return None
    path = Path(home) / "midstream"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        # A cache only saves time: a home that cannot be written is no error.
        return None
    return path if os.access(path, os.W_OK | os.X_OK) else None


def prepared(config: Config) -> Config:
    """The same, with its state directory made (0700, where it is new) and found to be writable, as an absolute path."""
    state = config.state.absolute()
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--state: {state} cannot be made: {error.strerror}") from error
    if not os.access(state, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"--state: {state} cannot be written")
    return replace(config, state=state, cache=config.cache or state / "cache")


def state_given(flags: Mapping[str, Any]) -> bool:
    """Whether `--state` or MIDSTREAM_STATE says where state lives."""
    return bool(flags.get("state") or os.environ.get("MIDSTREAM_STATE"))


def inherited() -> dict[str, str]:
    """The environment a child process inherits."""
    return dict(os.environ)


def debugging() -> bool:
    """Whether MIDSTREAM_LOG_LEVEL asks for debug."""
    return os.environ.get("MIDSTREAM_LOG_LEVEL") == "debug"
