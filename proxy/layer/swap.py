"""Our HTTP layer in the place of mitmproxy's, and nothing but TLS and HTTP let through.

What a stream does does not live here (`stream`).
"""

from collections.abc import Iterator
from weakref import WeakSet

from mitmproxy import http
from mitmproxy.proxy import events
from mitmproxy.proxy import layer as layers
from mitmproxy.proxy.layers.http import HttpLayer
from mitmproxy.proxy.layers.tls import ClientTLSLayer, ServerTLSLayer

from proxy.connection import AbortConnection
from proxy.hold import Hold, Limits
from proxy.layer.hooks import Commands
from proxy.layer.stream import GuardedStream


class GuardedHttp(HttpLayer):
    """An HTTP connection whose streams are `GuardedStream`s."""

    limits: Limits

    def make_stream(self, stream_id: int) -> Commands[None]:
        """One stream more."""
        stream = self.streams[stream_id] = GuardedStream(self.context.fork(), stream_id)
        stream.limits = self.limits
        yield from self.event_to_child(stream, events.Start())

    def live(self) -> Iterator[http.HTTPFlow]:
        """Flows that are not finished; tunnels (CONNECT) are not counted, what runs in them is."""
        for stream in self.streams.values():
            flow = getattr(stream, "flow", None)
            if flow is not None and flow.live and flow.request.method != "CONNECT":
                yield flow


class Refused(layers.Layer):
    """A protocol that nobody here inspects: the connection is closed."""

    def _handle_event(self, event: events.Event) -> Commands[None]:
        if isinstance(event, events.Start):
            yield AbortConnection(self.context.client)


class Layers:
    """The addon that puts our layers in place of mitmproxy's, and awaits their holds. Goes after `NextLayer`."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.open: WeakSet[GuardedHttp] = WeakSet()

    def next_layer(self, data: layers.NextLayer) -> None:
        """Swap HTTP layers in the chosen stack; anything but TLS and HTTP (raw TCP, DNS) is refused, not tunnelled."""
        layer: layers.Layer | None = data.layer
        while layer is not None and not isinstance(layer, layers.NextLayer):
            if isinstance(layer, HttpLayer):
                self._adopt(layer)
                return
            if not isinstance(layer, ClientTLSLayer | ServerTLSLayer):
                data.layer = Refused(data.context)
                return
            layer = layer.child_layer

    def _adopt(self, layer: HttpLayer) -> None:
        # mitmproxy's NextLayer constructs it by name; nothing of its state differs, only make_stream
        layer.__class__ = GuardedHttp
        assert isinstance(layer, GuardedHttp)
        layer.limits = self._limits
        self.open.add(layer)

    async def midstream_hold(self, hold: Hold) -> None:
        """Await a stream's decision."""
        await hold.wait()
