"""`midstream demo` as a user runs it: real TLS, both SDKs, midstream in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.demo import DemoError, main
from proxy.demo.served import StartError, serving
from proxy.demo.stand_in import StandIn


def _run(*flags: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TMPDIR": str(folder)}
    line = [sys.executable, "-m", "proxy", "demo", *flags]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=60)


def test_every_claim_of_the_demo_holds(tmp_path: Path) -> None:
    """And nothing of it is left in the temporary folder."""
    done = _run("--json", folder=tmp_path)
    shown = json.loads(done.stdout)
    assert shown["failed"] == []
    assert (done.returncode, done.stderr) == (0, "")
    fired = {rule for scene in shown["scenes"] for rule in scene["rules"]}
    assert "demo-budget" in fired and len(fired) >= 4
    assert list(tmp_path.iterdir()) == []


def test_the_demo_is_plain_text_of_a_hundred_columns(tmp_path: Path) -> None:
    done = _run(folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.split("\n"))) <= 100
    assert "\x1b" not in done.stdout
    assert "Every check held." in done.stdout


def test_a_midstream_that_does_not_start_says_why(stand_in: StandIn, tmp_path: Path) -> None:
    policy = tmp_path / "wrong.yaml"
    policy.write_text("version: 1\nrulez: []\n")
    with (
        pytest.raises(StartError, match="rulez"),
        serving([policy], stand_in.address, stand_in.ca_file, tmp_path / "state"),
    ):
        pass


def test_without_the_sdks_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    for name in ("proxy.demo.tour", "proxy.demo.agent", "proxy.demo.report", "proxy.demo.scenes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(DemoError, match=r"midstream\[demo\]"):
        main()
