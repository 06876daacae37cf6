"""The dispatch table, and the parts of mitmproxy's inside it stands on: a bump shows here what moved."""

import inspect
from dataclasses import fields
from typing import Any

import mitmproxy.version
import pytest
from mitmproxy import addonmanager, flow, http
from mitmproxy.addons import tlsconfig
from mitmproxy.master import Master
from mitmproxy.options import Options
from mitmproxy.proxy import commands, events, layer, server, tunnel
from mitmproxy.proxy.layers.http import HttpLayer, HttpStream, _hooks, _http1, _http2
from mitmproxy.test import tflow

from proxy.dispatch import Dispatcher, HookError, where


@pytest.fixture
async def dispatcher() -> Dispatcher:
    master = Master(Options())
    master._legacy_log_events.uninstall()
    return Dispatcher(master)


class Named:
    """An addon of a given name with the given hooks."""

    def __init__(self, name: str, **hooks: Any) -> None:
        self.name = name
        self.__dict__.update(hooks)


async def test_nobody_listens_nothing_runs(dispatcher: Dispatcher) -> None:
    assert dispatcher.run(_hooks.HttpRequestHook(tflow.tflow())) is None


async def test_handlers_run_in_order_inline_and_the_rest_after_the_first_coroutine(dispatcher: Dispatcher) -> None:
    seen: list[str] = []

    async def slow(_flow: http.HTTPFlow) -> None:
        seen.append("slow")

    dispatcher.add(
        Named("a", request=lambda _flow: seen.append("first")),
        Named("b", request=slow),
        Named("c", request=lambda _flow: seen.append("last")),
    )
    pending = dispatcher.run(_hooks.HttpRequestHook(tflow.tflow()))
    assert seen == ["first"]
    assert pending is not None
    await pending
    assert seen == ["first", "slow", "last"]


async def test_the_table_follows_added_and_removed_addons(dispatcher: Dispatcher) -> None:
    first, second = Named("a", request=lambda _flow: None), Named("b", request=lambda _flow: None)
    dispatcher.add(first)
    assert len(dispatcher.handlers("request")) == 1
    dispatcher.add(second)
    assert len(dispatcher.handlers("request")) == 2
    dispatcher.remove(first)
    assert dispatcher.handlers("request") == (second.__dict__["request"],)


async def test_a_failure_kills_the_flow_and_stops_the_chain(dispatcher: Dispatcher) -> None:
    def failing(_flow: http.HTTPFlow) -> None:
        raise KeyError("a body that must not be logged")

    seen: list[str] = []
    dispatcher.add(Named("a", request=failing), Named("b", request=lambda _flow: seen.append("after")))
    killed = tflow.tflow()
    assert dispatcher.run(_hooks.HttpRequestHook(killed)) is None
    assert killed.error is not None
    assert killed.error.msg == flow.Error.KILLED_MESSAGE
    assert seen == []


async def test_a_failing_hook_failed_is_closed(dispatcher: Dispatcher) -> None:
    def failing(*_data: object) -> None:
        raise RuntimeError

    dispatcher.add(Named("a", request=failing, hook_failed=failing))
    killed = tflow.tflow()
    dispatcher.run(_hooks.HttpRequestHook(killed))
    assert killed.error is not None


async def test_a_failure_outside_a_flow_raises(dispatcher: Dispatcher) -> None:
    def failing(_data: object) -> None:
        raise RuntimeError

    dispatcher.add(Named("a", next_layer=failing))
    with pytest.raises(HookError):
        dispatcher.run(layer.NextLayerHook(object()))  # type: ignore[arg-type]  # never looked into


async def test_an_intercepted_flow_waits(dispatcher: Dispatcher) -> None:
    dispatcher.add(Named("a", request=lambda held: held.intercept()))
    held = tflow.tflow()
    pending = dispatcher.run(_hooks.HttpRequestHook(held))
    assert pending is not None
    held.resume()  # type: ignore[no-untyped-call]  # mitmproxy is untyped
    await pending


def test_an_exception_is_named_by_type_and_place_never_by_its_words() -> None:
    try:
        raise ValueError("the secret")
    except ValueError as exc:
        assert where(exc).startswith("ValueError at test_dispatch.py:")
        assert "secret" not in where(exc)


# -- the contract with mitmproxy's inside -----------------------------------------------------------------------------


def test_the_version_these_contracts_were_read_from() -> None:
    assert mitmproxy.version.VERSION == "12.2.3"


STREAM = [
    "state_wait_for_request_headers",
    "state_consume_request_body",
    "state_stream_request_body",
    "state_wait_for_response_headers",
    "state_consume_response_body",
    "state_stream_response_body",
    "send_response",
    "flow_done",
    "check_invalid",
    "check_killed",
    "handle_protocol_error",
    "state_errored",
    "state_done",
]
HANDLER = ["server_event", "handle_hook", "open_connection", "log", "wakeup", "handle_connection", "close_connection"]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *((HttpStream, name) for name in STREAM),
        *((server.ConnectionHandler, name) for name in HANDLER),
        *((addonmanager.AddonManager, name) for name in ("trigger", "trigger_event", "register", "add", "remove")),
        (HttpLayer, "make_stream"),
        (HttpLayer, "event_to_child"),
        (layer.Layer, "handle_event"),
        (tlsconfig.TlsConfig, "request"),
        (_http1, "make_body_reader"),
        (http.MessageData, "__post_init__"),
        (_http2, "Http2Connection"),
    ],
)
def test_what_is_overridden_is_still_there(owner: Any, name: str) -> None:
    assert hasattr(owner, name)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (HttpLayer.make_stream, "HttpStream(ctx, stream_id)"),
        (HttpStream.state_wait_for_request_headers, "yield HttpRequestHeadersHook(self.flow)"),
        (HttpStream.state_wait_for_response_headers, "self.flow.response = event.response"),
        (HttpStream.state_wait_for_response_headers, "yield HttpResponseHeadersHook(self.flow)"),
        (HttpStream.send_response, "yield HttpResponseHook(self.flow)"),
        (HttpStream.send_response, "self.check_killed(False)"),
        (_http1.Http1Client.read_headers, "make_body_reader(expected_size)"),
        (_http1.Http1Connection.read_body, "self.body_reader(self.buf)"),
        (layer.Layer.handle_event, "self._paused_event_queue.append(event)"),
        (server.ConnectionHandler.__init__, "self._server_event_lock"),
        (server.ConnectionHandler.handle_client, "self.transports[self.client].handler = handler"),
    ],
)
def test_the_places_we_step_into_still_read_as_they_did(function: Any, said: str) -> None:
    assert said in inspect.getsource(function)


def test_unknown_commands_pass_every_layer() -> None:
    """`AbortConnection` relies on it: tunnels touch connection commands only."""
    assert "else:\n            yield command" in inspect.getsource(tunnel.TunnelLayer._handle_command)


def test_a_commands_class_attribute_is_no_field() -> None:
    assert [field.name for field in fields(_hooks.HttpRequestHook)] == ["flow"]
    assert commands.StartHook.blocking is True
    assert issubclass(events.Wakeup, events.CommandCompleted)
