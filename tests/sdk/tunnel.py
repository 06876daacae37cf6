"""A proxy that is none: tunnels every CONNECT to one port of this machine and touches nothing.

Through it an SDK reaches the stand-in straight, set up as it is for midstream: what differs then is midstream's doing.
"""

import contextlib
import socket
import socketserver
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def tunnel(port: int) -> Iterator[str]:
    """The URL of a running tunnel to `port`."""

    class Tunnel(socketserver.StreamRequestHandler):
        rbufsize = 0  # what follows the request is not ours to read

        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            with socket.create_connection(("127.0.0.1", port)) as upstream:
                self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(upstream, self.request))
                back.start()
                _pump(self.request, upstream)
                back.join()

    with _Server(("127.0.0.1", 0), Tunnel) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="tunnel")
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True  # a client that keeps its connection open holds up nobody


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either side may go at any time
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
