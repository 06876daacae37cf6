"""The addon under mitmproxy's own tools: `mitmdump -s proxy/addon.py`, as a person looking at flows would start it."""

import contextlib
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest
from openai import DefaultHttpxClient, OpenAI

from proxy.config import inherited
from proxy.demo.answers import says
from proxy.demo.stand_in import StandIn

ROOT = Path(__file__).parent.parent
TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"  # GitHub's documented example token
LISTENING = re.compile(r"listening at .*?:(\d+)")
NOT_KEPT = ("fail closed", "abort", "bounds", "upstream only after policy")


def mitmdump(folder: Path, policy: Path, *options: str) -> list[str]:
    line = [str(Path(sys.executable).with_name("mitmdump")), "-s", str(ROOT / "proxy" / "addon.py")]
    told = {"confdir": folder, "midstream_state": folder / "state", "midstream_policy": policy}
    for name, value in told.items():
        line += ["--set", f"{name}={value}"]
    return [*line, "--listen-host", "127.0.0.1", "--listen-port", "0", "--set", "termlog_verbosity=info", *options]


class Started:
    """A running mitmdump, and all it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.said: list[str] = []
        self._lines: Queue[str] = Queue()
        self._process = process
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def until(self, mark: str | re.Pattern[str]) -> re.Match[str]:
        """The first match in what it says from now on."""
        while True:
            line = self._lines.get(timeout=60)
            self.said.append(line)
            if found := re.search(mark, line):
                return found

    def status(self) -> int:
        """Its exit status, once it ends by itself."""
        return self._process.wait(30)

    def everything(self) -> str:
        """What it has said in all, once it has ended."""
        self._reading.join()
        while not self._lines.empty():
            self.said.append(self._lines.get())
        return "".join(self.said)


@contextlib.contextmanager
def running(line: list[str]) -> Iterator[Started]:
    environment = {name: value for name, value in inherited().items() if not name.startswith("MIDSTREAM_")}
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
    ) as process:
        started = Started(process)
        try:
            yield started
        finally:
            process.terminate()
            process.wait(30)
            started.everything()


def openai(folder: Path, port: int, provider: StandIn) -> OpenAI:
    trusted = ssl.create_default_context(cafile=str(folder / "mitmproxy-ca-cert.pem"))
    http = DefaultHttpxClient(verify=trusted, trust_env=False, proxy=f"http://127.0.0.1:{port}")
    return OpenAI(api_key="none", base_url=f"https://localhost:{provider.port}/v1", http_client=http, max_retries=0)


def test_it_loads_says_what_it_does_not_keep_and_redacts(tmp_path: Path, stand_in: StandIn) -> None:
    """A request, and a stream in which the secret is split."""
    stand_in.scenario = lambda _: says("Use ", TOKEN[:9], TOKEN[9:], " now.")
    trust = f"ssl_verify_upstream_trusted_ca={stand_in.ca_file}"
    with running(mitmdump(tmp_path, ROOT / "policies" / "baseline.yaml", "--set", trust)) as started:
        port, warned = None, 0
        while port is None or warned < len(NOT_KEPT):
            found = started.until("|".join([LISTENING.pattern, *(f"  - {promise}:" for promise in NOT_KEPT)]))
            port, warned = found[1] or port, warned + (found[1] is None)
        with openai(tmp_path, int(port), stand_in) as client:
            stream = client.chat.completions.create(
                model="gpt-5.4-mini", messages=[{"role": "user", "content": f"The key is {TOKEN}"}], stream=True
            )
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert [request.messages[0]["content"] for request in stand_in.requests] == ["The key is [REDACTED:github_token]"]
    assert text == "Use [REDACTED:github_token] now."
    assert TOKEN not in "".join(started.said)


@pytest.mark.parametrize("policy", ["rules: 7\n", "version: 1\nrules: [{id: x}]\n"])
def test_a_policy_that_is_wrong_is_said_and_nothing_served(tmp_path: Path, policy: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(policy)
    with running(mitmdump(tmp_path, path)) as started:
        started.until(re.escape(str(path)))
        assert started.status() == 1
