"""What is remembered of tool servers: names, addresses and calls, each within its conversation and within bounds."""

import pytest

from proxy import tool_servers
from proxy.tool_servers import Called, Conversation, ToolServers

HERE = Conversation("agent", "tools.example", "session")


@pytest.fixture
def servers() -> ToolServers:
    return ToolServers()


def test_a_call_is_known_in_its_conversation_alone(servers: ToolServers) -> None:
    servers.called(HERE, "1", Called("echo", {"a": 1}))
    assert servers.call(HERE, "1") == Called("echo", {"a": 1})
    for other in (HERE._replace(agent="b"), HERE._replace(host="b"), HERE._replace(name="b")):
        assert servers.call(other, "1") is None
    assert servers.call(HERE, '"1"') is None


def test_an_answered_call_is_forgotten(servers: ToolServers) -> None:
    servers.called(HERE, "1", Called("echo", {}))
    servers.answered(HERE, "1")
    servers.answered(HERE, "1")
    assert servers.call(HERE, "1") is None


def test_the_oldest_calls_go_first(servers: ToolServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_servers, "MOST", 3)
    for number in range(5):
        servers.called(HERE, str(number), Called("echo", {}))
    assert [number for number in range(5) if servers.call(HERE, str(number))] == [2, 3, 4]


def test_large_calls_take_the_place_of_many(servers: ToolServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_servers, "MOST_BYTES", 100)
    servers.called(HERE, "1", Called("echo", {}, size=60))
    servers.called(HERE, "1", Called("echo", {}, size=70))  # the same again counts once
    servers.called(HERE, "2", Called("echo", {}, size=30))
    assert servers.call(HERE, "1") and servers.call(HERE, "2")
    servers.called(HERE, "3", Called("echo", {}, size=1))
    assert not servers.call(HERE, "1") and servers.call(HERE, "2") and servers.call(HERE, "3")


def test_names(servers: ToolServers) -> None:
    servers.named("h", "s", "files")
    assert (servers.name("h", "s"), servers.name("h", "t"), servers.name("i", "s")) == ("files", None, None)
    servers.named("h", "s", "mail")
    assert servers.name("h", "s") == "mail"


@pytest.mark.parametrize("name", ["", "x" * (tool_servers.LONGEST_NAME + 1)])
def test_what_is_no_name(servers: ToolServers, name: str) -> None:
    servers.named("h", "s", name)
    assert servers.name("h", "s") is None


def test_a_name_counts_below_its_address(servers: ToolServers) -> None:
    servers.named("h", "/agents/a", "a")
    assert servers.name("h", "/agents/a?x=/y") == servers.name("h", "/agents/a/v1/message:send") == "a"
    assert servers.name("h", "/agents/ab") is servers.name("h", "/agents") is None
    servers.named("h", "/", "root")
    assert servers.name("h", "/agents/b") == servers.name("h", "/") == "root"
    assert servers.name("h", "a session/of its own") is None


def test_addresses(servers: ToolServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_servers, "MOST", 2)
    servers.learn("h", "/messages")
    assert servers.is_endpoint("h", "/messages")
    assert not servers.is_endpoint("i", "/messages") and not servers.is_endpoint("h", "/sse")
    for path in ("/b", "/c"):
        servers.learn("h", path)
    assert not servers.is_endpoint("h", "/messages") and servers.is_endpoint("h", "/c")
