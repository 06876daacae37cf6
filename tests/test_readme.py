"""The README's transcripts, run as they stand: `console` blocks, `$ ` commands, `…` for what may differ.

A block runs command by command from the root of the repository, in a home of its own. `…` within a line stands for any
text in that line, a line of its own for any lines.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
WITHIN = 100
"""Seconds for one command; the demo, the longest, takes about ten."""


class Step(NamedTuple):
    """A command and what it should print."""

    command: str
    output: str


def steps(block: str) -> list[Step]:
    """The commands of a block, each with the lines up to the next."""
    first, *rest = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert first == "", "a console block begins with a command"
    return [Step(*part.split("\n", 1)) for part in rest]


def pattern(output: str) -> str:
    """A regular expression for expected output."""
    lines = (r"(?:[^\n]*\n)*?" if line == "…" else _line(line) + r"\n" for line in output.splitlines())
    return "".join(lines)


def _line(line: str) -> str:
    return "[^\n]*".join(map(re.escape, line.split("…")))


BLOCKS = [steps(found[1]) for found in BLOCK.finditer((ROOT / "README.md").read_text())]


@pytest.mark.parametrize("block", BLOCKS, ids=[block[0].command for block in BLOCKS])
def test_the_transcript_holds(block: list[Step], tmp_path: Path) -> None:
    environ = {
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "LANG": "C.UTF-8",
    }
    status = 0
    for command, output in block:
        # The command after may ask for `$?`.
        ran = subprocess.run(
            ["bash", "-c", f"(exit {status}); {command}"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        status = ran.returncode
        assert re.fullmatch(pattern(output), ran.stdout), f"$ {command}\n{ran.stdout}"


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("one\ntwo\n", "one\ntwo\n", True),
        ("one\n", "one\ntwo\n", False),
        ("one\n…\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one\n…\ntwo\n", "one\ntwo\n", True),
        ("a … c\n", "a b c\n", True),
        ("a … c\n", "a b\n c\n", False),
    ],
)
def test_an_ellipsis_stands_for_what_may_differ(expected: str, printed: str, same: bool) -> None:
    assert bool(re.fullmatch(pattern(expected), printed)) is same
