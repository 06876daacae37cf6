"""For mitmdump, not for midstream: what `--connect-to` does, and streaming of event streams. Loaded with `-s`."""

from mitmproxy import addonmanager, ctx, http


class Stock:
    """The two things that a stock mitmdump must be told before it can carry the same traffic."""

    def load(self, loader: addonmanager.Loader) -> None:
        """Declare the options `bench_port` and `bench_stream`."""
        loader.add_option("bench_port", int, 0, "connections to provider hosts go to this loopback port")
        loader.add_option("bench_stream", bool, False, "stream responses instead of buffering them")

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Tunnel to the stand-in upstream; SNI stays the client's.

        Not `server_connect`: an address that differs from the request's is never reused, so every request would dial.
        """
        flow.request.host, flow.request.port = "127.0.0.1", ctx.options.bench_port


class Streaming:
    """A hook of its own, so that the buffering mitmdump pays for nothing it does not use."""

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Let the body pass as it comes."""
        if flow.response is not None and ctx.options.bench_stream:
            flow.response.stream = True


addons = [Stock(), Streaming()]
