"""Where recorded traffic and benchmark texts are, which no test may need on a user's machine.

They stand beside the repository (`../shared`), not in it. A test that reads them carries `@needs_shared`: without them
it is skipped, but under CI (variable `CI` set) a missing folder is a failure, so that a skip never passes for a check.
"""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"

if os.environ.get("CI") and not SHARED.is_dir():
    raise RuntimeError("CI is set, but ../shared (recorded traffic) is missing beside the repository")

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="recorded traffic (../shared) is not on this machine")
