# SPDX-License-Identifier: Apache-2.0
"""An HTTP/2 client that can stop at any point, and a backend that echoes."""

import hashlib
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

from harness import backends
from harness.clients import connect, context, raw_connection, request

# The name of the trailer with the digest of a stream's body.
DIGEST = "x-digest"
# The type of a frame.
GOAWAY = 7


@dataclass
class Stream:
    headers: dict = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    trailers: dict = None
    ended: bool = False
    reset: int = None

    @property
    def status(self):
        return int(self.headers.get(":status", 0))


class Peer:
    """One end of a connection, in one thread. It reads while it waits."""

    def __init__(self, sock, client_side):
        self.sock = sock
        self.h2 = H2Connection(H2Configuration(client_side=client_side, header_encoding="utf-8"))
        self.streams, self.pings = {}, []
        # The streams whose data is not acknowledged: their windows stay closed.
        self.stopped = set()
        self.begin()

    def begin(self):
        self.h2.initiate_connection()
        self.flush()

    def flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def pump(self):
        """Reads once. Returns whether the connection is open."""
        data = self.sock.recv(65536)
        for part in self._parts(data):
            for event in self.h2.receive_data(part):
                self._handle(event)
        self.flush()
        return bool(data)

    def _parts(self, data):
        return [data] if data else []

    def wait(self, condition):
        while not condition():
            if not self.pump():
                raise ConnectionError(f"the connection ended: {self.streams}")

    def _handle(self, event):
        stream = self.streams.setdefault(getattr(event, "stream_id", 0), Stream())
        if isinstance(event, (events.ResponseReceived, events.RequestReceived)):
            stream.headers = dict(event.headers)
        elif isinstance(event, events.DataReceived):
            stream.body += event.data
            if event.stream_id not in self.stopped:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.TrailersReceived):
            stream.trailers = dict(event.headers)
        elif isinstance(event, events.StreamEnded):
            stream.ended = True
        elif isinstance(event, events.StreamReset):
            stream.reset, stream.ended = event.error_code, True
        elif isinstance(event, events.PingAckReceived):
            self.pings.append(event.ping_data)


class Client(Peer):
    """A connection to a virtual host through TLS, or over the given socket without TLS."""

    def __init__(self, httpd, host="a.test", sock=None):
        self.authority = f"{host}:{httpd.port}"
        self.scheme = "http" if sock else "https"
        self.goaways, self._rest = [], b""
        super().__init__(sock or connect(httpd, host, ctx=context(httpd, alpn=["h2"])), client_side=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def _parts(self, data):
        """Complete frames without GOAWAY: h2 accepts nothing after a GOAWAY."""
        self._rest += data
        while len(self._rest) >= max(9, size := 9 + int.from_bytes(self._rest[:3], "big")):
            frame, self._rest = self._rest[:size], self._rest[size:]
            if frame[3] == GOAWAY:
                self.goaways.append(int.from_bytes(frame[9:13], "big"))
            else:
                yield frame

    def ping(self):
        """Waits until the server has processed everything that was sent."""
        before = len(self.pings)
        self.h2.ping(b"pingpong")
        self.flush()
        self.wait(lambda: len(self.pings) > before)

    def request(self, method, path, *headers, end=True):
        """Begins a request. Returns the number of its stream."""
        number = self.h2.get_next_available_stream_id()
        head = [(":method", method), (":scheme", self.scheme), (":authority", self.authority), (":path", path)]
        self.h2.send_headers(number, [*head, *headers], end_stream=end)
        self.streams[number] = Stream()
        self.flush()
        return number

    def send(self, number, data, end=False):
        """Sends data as the windows allow, and reads in between."""
        view = memoryview(data)
        while view:
            self.wait(lambda: self.h2.local_flow_control_window(number) > 0)
            size = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, len(view))
            self.h2.send_data(number, bytes(view[:size]))
            view = view[size:]
            self.flush()
        if end:
            self.h2.end_stream(number)
            self.flush()

    def trailers(self, number, *headers):
        """Ends a request with trailers."""
        self.h2.send_headers(number, headers, end_stream=True)
        self.flush()

    def response(self, number):
        """The complete response to a stream."""
        self.wait(lambda: self.streams[number].ended)
        return self.streams[number]

    def get(self, path, *headers):
        return self.response(self.request("GET", path, *headers))


class Upgraded(Client):
    """A connection without TLS that a request for `path` upgrades to HTTP/2. The response is stream 1."""

    def __init__(self, httpd, path):
        self._path = path
        super().__init__(httpd, sock=raw_connection(httpd, httpd.plain_port))

    def begin(self):
        settings = self.h2.initiate_upgrade_connection().decode()
        headers = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: {settings}\r\n"
        self.sock.sendall(request("a.test", self._path, close=False, headers=headers))
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self.sock.recv(1)
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        self.streams[1] = Stream()
        self.flush()


class _Echo(Peer):
    """Echoes each DATA frame when it arrives, and sends a digest in trailers at the end, as gRPC services do."""

    def __init__(self, sock):
        self._waiting, self._seen, self._finished = {}, {}, set()
        super().__init__(sock, client_side=False)

    def _handle(self, event):
        super()._handle(event)
        number = getattr(event, "stream_id", 0)
        if isinstance(event, events.RequestReceived):
            self._waiting[number], self._seen[number] = bytearray(), hashlib.sha256()
            self.h2.send_headers(number, [(":status", "200"), ("content-type", "application/grpc")])
        elif isinstance(event, events.DataReceived):
            self._waiting[number] += event.data
            self._seen[number].update(event.data)
        elif isinstance(event, events.StreamEnded):
            self._finished.add(number)
        elif isinstance(event, events.StreamReset):
            self._forget(number)
        for waiting in list(self._waiting):
            self._send(waiting)

    def _forget(self, number):
        self._waiting.pop(number, None)
        self._finished.discard(number)

    def _send(self, number):
        data = self._waiting[number]
        while data and (window := self.h2.local_flow_control_window(number)) > 0:
            size = min(window, self.h2.max_outbound_frame_size, len(data))
            self.h2.send_data(number, bytes(data[:size]))
            del data[:size]
        if not data and number in self._finished:
            trailers = [("grpc-status", "0"), (DIGEST, self._seen[number].hexdigest())]
            self.h2.send_headers(number, trailers, end_stream=True)
            self._forget(number)


class Backend(backends.Backend):
    """A backend that supports HTTP/2 only, and echoes. `connections` has all of its connections."""

    def __init__(self, *args):
        self.connections = []
        super().__init__(*args)

    def handle(self, sock):
        peer = _Echo(sock)
        self.connections.append(peer)
        while peer.pump():
            pass
