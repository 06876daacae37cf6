"""Proxy credentials: who is let in, and as whom."""

import base64
import hashlib

import pytest

from proxy.events import Agent
from proxy.identity import Agents, Known

BUILDER = Known(Agent(id="builder", labels={"team": "core"}), hashlib.sha256(b"s3same").hexdigest())


def basic(name: str, token: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


def test_the_right_token_is_the_agent_with_its_labels() -> None:
    assert Agents([BUILDER], required=True).identify(basic("builder", "s3same"), "10.0.0.1") == BUILDER.agent


@pytest.mark.parametrize(
    "value",
    [
        basic("builder", "wrong"),
        basic("stranger", "s3same"),
        "Bearer abc",
        "Basic !!!",
        "Basic " + base64.b64encode(b"no colon").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:x").decode(),
        "",
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_wrong_credentials_never_fall_back_to_anything(value: str, required: bool) -> None:
    assert Agents([BUILDER], required=required).identify(value, "10.0.0.1") is None


def test_without_credentials_it_is_the_address_unless_identity_is_required() -> None:
    assert Agents([BUILDER], required=False).identify(None, "10.0.0.1") == Agent(id="10.0.0.1")
    assert Agents([], required=False, fallback="sidecar").identify(None, "127.0.0.1") == Agent(id="sidecar")
    assert Agents([BUILDER], required=True).identify(None, "10.0.0.1") is None


def test_where_no_agents_are_listed_a_name_is_taken_at_its_word() -> None:
    assert Agents([], required=False).identify(basic("scout", "anything"), "10.0.0.1") == Agent(id="scout")
    assert Agents([], required=True).identify(basic("scout", "anything"), "10.0.0.1") is None
