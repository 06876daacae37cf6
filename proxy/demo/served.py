"""`midstream serve` as a user would start it: a process of its own, found by its ready line.

Shared by the demo and the SDK tests; knows the public command line only, none of the modules behind it.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy import config
from proxy.demo import DemoError

HOSTS = ("api.openai.com", "api.anthropic.com")
"""The providers that the stand-in plays."""

_READY = re.compile(r"127\.0\.0\.1:(\d+)")


class StartError(DemoError):
    """midstream did not start; the message is what it said."""


@dataclass(frozen=True)
class Served:
    """A running midstream."""

    port: int
    state: Path

    @property
    def ca_file(self) -> Path:
        """The CA agents must trust (design contract §8: DIR/ca.pem)."""
        return self.state / "ca.pem"

    def proxy_url(self, agent: str = "", token: str = "") -> str:
        """What an agent puts into HTTPS_PROXY."""
        credentials = f"{agent}:{token}@" if agent else ""
        return f"http://{credentials}127.0.0.1:{self.port}"


def command(
    policies: Sequence[Path], upstream: str, upstream_ca: Path, state: Path, hosts: Iterable[str] = HOSTS
) -> list[str]:
    """The command line: `hosts` are sent to `upstream` (HOST:PORT), names and verification unchanged."""
    line = [sys.executable, "-m", "proxy", "serve", "--listen", "127.0.0.1:0", "--state", str(state)]
    line += ["--upstream-ca", str(upstream_ca)]
    line += [f"--connect-to={host}={upstream}" for host in hosts]
    return line + [f"--policy={policy}" for policy in policies]


@contextmanager
def serving(
    policies: Sequence[Path],
    upstream: str,
    upstream_ca: Path,
    state: Path,
    *,
    hosts: Iterable[str] = HOSTS,
    grace: float = 5,
    within: float = 60,
) -> Iterator[Served]:
    """Start midstream, wait for its ready line at most `within` seconds, stop it with SIGTERM afterwards.

    Raises:
        StartError: it exited or stayed silent instead of getting ready.
    """
    line = [*command(policies, upstream, upstream_ca, state, hosts), f"--grace={grace:g}"]
    with subprocess.Popen(  # noqa: S603 -- our own command
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        errors: list[str] = []
        assert process.stderr is not None
        reading = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
        reading.start()
        try:
            port = _port(process, within)
            if port is None:
                process.kill()  # it may have said something else and live on
                reading.join()
                raise StartError("".join(errors).strip() or f"midstream said nothing for {within:g} seconds")
            yield Served(port, state)
        finally:
            process.terminate()
            _wait(process, grace)
            reading.join()


def _environment() -> dict[str, str]:
    """The caller's, without settings of a midstream of their own."""
    return {name: value for name, value in config.inherited().items() if not name.startswith("MIDSTREAM_")}


def _port(process: subprocess.Popen[str], within: float) -> int | None:
    """The port of the ready line; None when it exits, or is ended for its silence, without one."""
    assert process.stdout is not None
    silence = threading.Timer(within, process.kill)  # ends the blocking read below
    silence.start()
    try:
        found = _READY.search(process.stdout.readline())
    finally:
        silence.cancel()
    return None if found is None else int(found[1])


def _wait(process: subprocess.Popen[str], grace: float) -> None:
    try:
        process.wait(grace + 10)
    except subprocess.TimeoutExpired:
        process.kill()
