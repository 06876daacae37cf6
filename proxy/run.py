"""`midstream run`: one command behind a private proxy of its own, and the summary at its end.

The child has the terminal, the working directory and the process group of its caller; midstream only stands beside it.
Which variables it is given stands in `certs.trust`.
"""

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from certs import trust
from proxy.commands import counted
from proxy.config import Address, Config, Credential, inherited
from proxy.serve import running

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""As POSIX shells say it (XCU §2.8.2)."""

_GRACE: Final = 2.0
"""Seconds for connections that the child left behind."""

_FORWARDED: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_FROM_KEYS: Final = (signal.SIGINT, signal.SIGQUIT)
"""Sent by the terminal to the whole foreground group: the child has them already, and decides what they mean."""


class CommandError(Exception):
    """The command cannot be run. `status` is what a shell would exit with."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the command: its exit status as a shell gives it, and the proxy's counts."""

    status: int
    summary: Mapping[str, Any]


async def run(config: Config, command: Sequence[str]) -> Outcome:
    """Run `command` behind a proxy on a free loopback port, with credentials that only it knows.

    Raises CommandError when it cannot be started.
    """
    environ = inherited()
    program = _program(command[0], environ)
    agent, token = config.agent or Path(program).name, secrets.token_urlsafe(24)
    credential = Credential(agent, hashlib.sha256(token.encode()).hexdigest())
    config = replace(config, listen=Address("127.0.0.1", 0), credentials=(credential,))
    async with running(config) as proxy:
        url = f"http://{quote(agent, safe='')}:{token}@{proxy.address}"
        variables = trust.environment(url, proxy.authority.certificate, proxy.authority.bundle)
        status = await _child(program, command, environ | variables)
        await proxy.worker.drain(_GRACE)
        return Outcome(status, proxy.services.summary())


def _program(name: str, environ: Mapping[str, str]) -> str:
    """The program's path, found before anything is started."""
    if found := shutil.which(name, path=environ.get("PATH")):
        return found
    if os.sep in name and Path(name).exists():
        raise CommandError(f"{name} is not executable", NOT_EXECUTABLE)
    raise CommandError(f"{name}: command not found", NOT_FOUND)


async def _child(program: str, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Start the child with our own stdin, stdout and stderr; its exit status, 128 + N for signal N."""
    with _forwarding() as target:
        try:
            child = await asyncio.create_subprocess_exec(*command, executable=program, env=dict(environ))
        except OSError as error:
            raise CommandError(f"{command[0]} cannot be run: {error.strerror}", NOT_EXECUTABLE) from error
        target(child)
        status = await child.wait()
    return status if status >= 0 else 128 - status


@contextmanager
def _forwarding() -> Iterator[Callable[[asyncio.subprocess.Process], None]]:
    """Signals to us go to the child that is named by calling what this yields; those that came before it, then."""
    loop, early = asyncio.get_running_loop(), list[int]()
    children: list[asyncio.subprocess.Process] = []

    def forward(number: int) -> None:
        if number in _FROM_KEYS and _in_foreground():
            return
        for child in children:
            if child.returncode is None:
                child.send_signal(number)
        if not children:
            early.append(number)

    def started(child: asyncio.subprocess.Process) -> None:
        children.append(child)
        for number in early:
            child.send_signal(number)

    for number in (*_FORWARDED, *_FROM_KEYS):
        loop.add_signal_handler(number, forward, number)
    try:
        yield started
    finally:
        for number in (*_FORWARDED, *_FROM_KEYS):
            loop.remove_signal_handler(number)


def _in_foreground() -> bool:
    """Whether a terminal is ours now, so that its Ctrl-C reached the child as well."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        # stdin is no terminal or closed: nothing was typed.
        return False


def summary_lines(summary: Mapping[str, Any]) -> list[str]:
    """The summary of `Services.summary` for people: one line, or two where no model request was seen."""
    requests = summary.get("requests", 0)
    if not requests and summary.get("uninspected"):
        return [f"no model request, and {counted(summary['uninspected'], 'request')} to hosts that nothing inspects"]
    if not requests:
        return [
            "no model request came through the proxy",
            "some clients ignore HTTPS_PROXY: Node before 24 in its own fetch, aiohttp without trust_env=True",
        ]
    tokens = summary.get("input_tokens", 0) + summary.get("output_tokens", 0)
    said = [f"{counted(requests, 'model request')}, {summary.get('denied', 0)} denied"]
    said += [f"found {_listed(summary['findings'])}"] if summary.get("findings") else []
    said += [f"rules {_listed(summary['rules'])}"] if summary.get("rules") else []
    said += [f"{counted(tokens, 'token')}, {summary.get('nano_usd', 0) / 1e9:.4f} USD"]
    return ["; ".join(said)]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
