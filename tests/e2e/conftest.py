"""Fixtures of the tests that drive agents from npm."""

from pathlib import Path

import pytest

from proxy.demo.stand_in import StandIn
from tests.e2e.agents import Behind

pytest.register_assert_rewrite("tests.e2e.contract")


@pytest.fixture(scope="session")
def _state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One state for all: its CA and compiled detectors need not be made anew."""
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture
def behind(stand_in: StandIn, tmp_path: Path, _state: Path) -> Behind:
    """Starts agents behind midstream."""
    return Behind(stand_in, tmp_path, _state)
