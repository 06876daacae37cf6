"""Starting and stopping what is compared, each a process of its own, and reading what it costs from the kernel."""

import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PROVIDER = "api.openai.com"
START_SECONDS = 60.0


@dataclass(frozen=True)
class Running:
    """A proxy or server that accepts connections."""

    pid: int
    port: int
    trust: ssl.SSLContext

    def cpu(self) -> float:
        """User and system seconds of the process and its children so far.

        Read from each process's CPU clock, which counts nanoseconds; /proc/PID/stat counts ticks of ten milliseconds.
        The clock id of another process is `~pid << 3 | CPUCLOCK_SCHED` (clock_getcpuclockid(3), Linux).
        """
        return sum(time.clock_gettime(~pid << 3 | 2) for pid in _family(self.pid))

    def rss(self) -> float:
        """Resident MiB of the process and its children."""
        status = (Path(f"/proc/{pid}/status").read_text() for pid in _family(self.pid))
        return sum(int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) for text in status) / 1024


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _family(int(child)))]


@contextmanager
def _process(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port_in_first_line(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.findall(r"(?:127\.0\.0\.1:)?(\d{4,5})\b", line)
    if not found:
        raise RuntimeError(f"{process.args!r} did not say its port but {line!r}")
    return int(found[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not start")


@contextmanager
def upstream(leaf: Path, ca: Path) -> Iterator[Running]:
    """The benchmark's provider."""
    with _process(sys.executable, "-m", "bench.upstream", leaf) as process:
        yield Running(process.pid, _port_in_first_line(process), ssl.create_default_context(cafile=ca))


@contextmanager
def mitmdump(folder: Path, upstream_port: int, ca: Path, *, streaming: bool) -> Iterator[Running]:
    """Stock `mitmdump -q`. It buffers responses unless `streaming`."""
    port = _free_port()
    options = {
        "confdir": folder,
        "connection_strategy": "lazy",
        "ssl_verify_upstream_trusted_ca": ca,
        "bench_port": upstream_port,
        "bench_stream": "true" if streaming else "false",
    }
    settings = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    listen = ["--listen-host", "127.0.0.1", "--listen-port", str(port)]
    with _process(BIN / "mitmdump", "-q", *listen, "-s", "bench/stock.py", *settings) as process:
        _wait_for(port, process)
        yield Running(process.pid, port, ssl.create_default_context(cafile=folder / "mitmproxy-ca-cert.pem"))


@contextmanager
def midstream(folder: Path, upstream_port: int, ca: Path, *policies: str) -> Iterator[Running]:
    """`midstream serve` as a user starts it."""
    flags = [word for policy in policies for word in ("-p", policy)]
    flags += ["--listen", "127.0.0.1:0", "--state", str(folder), "--upstream-ca", str(ca)]
    flags += ["--connect-to", f"{PROVIDER}=127.0.0.1:{upstream_port}"]
    with _process(BIN / "midstream", "serve", *flags) as process:
        port = _port_in_first_line(process)
        yield Running(process.pid, port, ssl.create_default_context(cafile=folder / "ca.pem"))
