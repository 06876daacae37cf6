"""Fixtures that several folders of tests share: the stand-in provider, and midstream running before it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.demo.answers import default_scenario
from proxy.demo.served import Served, serving
from proxy.demo.stand_in import StandIn, in_thread
from tests.sdk.provider import CERTIFIED, HOSTS, reply
from tests.sdk.provider.sockets import speaking
from tests.serving import StartProxy


@pytest.fixture(scope="session")
def _provider() -> Iterator[StandIn]:
    with in_thread(hosts=CERTIFIED, written=reply, upgraded=speaking) as provider:
        yield provider


@pytest.fixture
def stand_in(_provider: StandIn) -> StandIn:
    """The stand-in provider, with the default scenario and no request recorded. One address for the whole run."""
    _provider.scenario = default_scenario
    _provider.requests.clear()
    return _provider


@pytest.fixture(scope="session")
def midstream_proxy(_provider: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartProxy]:
    """`midstream_proxy(policy_text, name)`: `midstream serve` with that policy before the stand-in.

    Started once per policy text and name; another `name` gives the same policy a state of its own.
    """
    running: dict[tuple[str, str], Served] = {}
    with ExitStack() as stack:

        def start(policy: str, name: str = "") -> Served:
            if (policy, name) not in running:
                folder = tmp_path_factory.mktemp("midstream")
                told = ([_write(folder, policy)], _provider.address, _provider.ca_file, folder / "state")
                running[policy, name] = stack.enter_context(serving(*told, hosts=HOSTS))
            return running[policy, name]

        yield start


def _write(folder: Path, policy: str) -> Path:
    path = folder / "policy.yaml"
    path.write_text(policy)
    return path
