# SPDX-License-Identifier: Apache-2.0
"""A test's connection to test/modules/mod_tls_contract.c, which calls the filters of a TLS module, and to the peer. The
test controls every byte of the peer."""

import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass, field

from harness.openssl import Endpoint, TlsError

TIMEOUT = 10
# The data of buckets repeats after this number of bytes; see contract_buckets.c.
PERIOD = 65521
PATTERN = bytes((k * k * 31 + k * 7 + (k >> 8)) & 255 for k in range(PERIOD))


def pattern(offset, size):
    start = offset % PERIOD
    return (PATTERN * ((start + size) // PERIOD + 1))[start : start + size] if size else b""


class Peer:
    """The other end of a connection: a socket and its TLS endpoint."""

    def __init__(self, sock, endpoint):
        self.sock, self.endpoint = sock, endpoint
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        self.received = bytearray()
        # Bytes that are written but not sent yet.
        self.held = b""
        # The number of bytes that have been sent.
        self.count = 0
        # The end of the connection in this direction: "fin", "reset" or "error: ...".
        self.end = None

    def fileno(self):
        return self.sock.fileno()

    @property
    def open(self):
        return self.sock is not None and self.end is None

    def pump(self):
        """Reads from the socket, and sends what TLS has to send."""
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionError:
            self.end = "reset"
            return
        if not data:
            self.end = "fin"
            return
        try:
            self.endpoint.feed(data)
            self.received += self.endpoint.read()
        except TlsError as e:
            self.end = f"error: {e}"
        if self.held:
            self.held += self.endpoint.take()
        else:
            self.send()

    def send(self, share=1.0):
        """Sends the pending bytes, or a share of them."""
        data = self.held + self.endpoint.take()
        size = len(data) if share == 1.0 else max(1, int(len(data) * share))
        self.held = data[size:]
        data = memoryview(data)[:size]
        while data and self.sock is not None:
            try:
                sent = self.sock.send(data)
                data = data[sent:]
                self.count += sent
            except BlockingIOError:
                select.select([], [self.sock], [], TIMEOUT)
            except ConnectionError:
                return

    def fin(self):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()
        self.end = "ours"

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def read_to_end(self):
        """Reads to the end. Returns how the connection ended."""
        deadline = time.monotonic() + TIMEOUT
        while self.open:
            assert time.monotonic() < deadline, "the connection does not end"
            if select.select([self.sock], [], [], 1)[0]:
                self.pump()
        return {"end": self.end, "close_notify": self.endpoint.closed, "received": bytes(self.received)}


@dataclass
class Answer:
    """The result of a command."""

    status: str
    aborted: bool = False
    keepalive: int = 0
    # The number of EORs and of the test's own metadata buckets, and how many of them are destroyed.
    made: int = 0
    destroyed: int = 0
    # Microseconds.
    took: int = 0
    # The kinds of the buckets that were read. Adjacent data buckets are one "data".
    kinds: list = field(default_factory=list)
    data: bytes = b""
    # The number of buckets that were left in a written brigade.
    left: int = 0


class Control:
    """The socket on which the module receives commands."""

    def __init__(self, listener, peer):
        self._sock, self._stream, self._peer = None, None, peer
        listener.settimeout(TIMEOUT)
        self._sock, _ = listener.accept()
        self._sock.setblocking(False)
        self._buffer = b""

    def _read_more(self):
        peer = [self._peer()] if self._peer() and self._peer().open else []
        ready = select.select([self._sock, *peer], [], [], TIMEOUT)[0]
        assert ready, "the module does not answer"
        if peer and peer[0] in ready:
            peer[0].pump()
        if self._sock in ready:
            data = self._sock.recv(1 << 18)
            assert data, "the module has closed the connection"
            self._buffer += data

    def __call__(self, *words):
        self._sock.sendall((" ".join(map(str, words)) + "\n").encode())
        while b"\n" not in self._buffer:
            self._read_more()
        line, _, self._buffer = self._buffer.partition(b"\n")
        found = dict(word.split("=", 1) for word in line.decode().split())
        length = int(found.get("len", 0))
        while len(self._buffer) < length:
            self._read_more()
        data, self._buffer = self._buffer[:length], self._buffer[length:]
        assert found.get("read", "SUCCESS") == "SUCCESS", found
        kinds = []
        for kind in found.get("kinds", "").split(","):
            if kind and not (kind == "data" and kinds and kinds[-1] == "data"):
                kinds.append(kind)
        numbers = {name: int(found.get(name, 0)) for name in ("keepalive", "made", "destroyed", "took", "left")}
        return Answer(found["status"], aborted=found["aborted"] == "1", kinds=kinds, data=data, **numbers)

    def end(self):
        with contextlib.suppress(OSError):
            self._sock.sendall(b"end\n")
        self._sock.close()


class ContractConnection:
    """One connection of an httpd, from a client or to a backend. `run` sends a command, and serves the peer until the
    answer arrives."""

    def __init__(self, server, backend, version):
        self.backend = backend
        self._opened = None
        self.peer = None
        if backend:
            self._opened = socket.create_connection(("127.0.0.1", server.backend_port), TIMEOUT)
            self.run = Control(server.listener, lambda: self.peer)
            endpoint = Endpoint(version, certificate=server.certificate)
            with socket.create_server(("127.0.0.1", 0)) as listener:
                assert self.run("connect", listener.getsockname()[1], "localhost").status == "SUCCESS"
                listener.settimeout(TIMEOUT)
                self.peer = Peer(listener.accept()[0], endpoint)
        else:
            sock = socket.create_connection(("127.0.0.1", server.port), TIMEOUT)
            endpoint = Endpoint(version, name="localhost", ca_file=server.ca_file)
            self.run = Control(server.listener, lambda: self.peer)
            self.peer = Peer(sock, endpoint)
            endpoint.handshake()

    def handshake(self):
        """The peer begins its part of the handshake at once; the module begins with the first read."""
        self.peer.send()
        answer = self.run("read", "INIT", "block", 0)
        end = time.monotonic() + TIMEOUT
        while self.peer.open and not self.peer.endpoint.handshake() and time.monotonic() < end:
            if select.select([self.peer.sock], [], [], 1)[0]:
                self.peer.pump()
        return answer

    def read(self, mode, block, size=8192, timeout=None):
        if timeout is not None:
            self.run("timeout", timeout)
        return self.run("read", mode, block, size)

    def write(self, *buckets):
        return self.run("write", *buckets)

    def deliver(self, share=1.0):
        """The peer sends its pending bytes, or a share of them. Returns when they have arrived."""
        self.peer.send(share)
        assert self.run("arrived", self.peer.count).status == "SUCCESS"

    def receive(self, size):
        """Waits until the peer has received `size` bytes of plaintext."""
        end = time.monotonic() + TIMEOUT
        while len(self.peer.received) < size and self.peer.open and time.monotonic() < end:
            if select.select([self.peer.sock], [], [], 1)[0]:
                self.peer.pump()
        return bytes(self.peer.received)

    def finish(self):
        """Closes the connection. Returns how the peer saw the end."""
        if self.backend and self.peer:
            self.run("close")
        self.run.end()
        seen = self.peer.read_to_end()
        self.free()
        return seen

    def free(self):
        self.run.end()
        if self.peer:
            self.peer.close()
            self.peer = None
        if self._opened:
            self._opened.close()


class ContractServer:
    """An httpd that runs the module."""

    def __init__(self, httpd, ports, authority):
        self.httpd, self.port, self.backend_port = httpd, httpd.port, ports.take()
        self.ca_file = httpd.ca_file
        issued = authority.server("localhost")
        issued.write(httpd.root, "contract")
        self.certificate = (httpd.root / "contract.pem", httpd.root / "contract.key")
        path = httpd.root / "contract.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        path.chmod(0o777)
        self.listener.listen()
        self._test = f"TestContract {path}"
        self._connections = []

    def start(self, load, record, **options):
        """Starts httpd. `record` selects the TLS module: "tls", "ssl" or "mod_ssl"."""
        cert, key = self.certificate
        if record == "tls":
            engine, files, proxy = f"TLSEngine {self.port}", [f"TLSCertificate {cert} {key}"], "TLSProxy"
            verify = [f"TLSProxyCA {self.ca_file}"]
        else:
            engine, files, proxy = "", ["SSLEngine on", f"SSLCertificateFile {cert}"], "SSLProxy"
            files += [f"SSLCertificateKeyFile {key}"]
            verify = ["SSLProxyVerify require", f"SSLProxyCACertificateFile {self.ca_file}", "SSLProxyVerifyDepth 3"]
        self.httpd.start(
            load,
            engine,
            "Timeout 15",
            # Connections are accepted before any byte is sent on them.
            "AcceptFilter http none\nAcceptFilter https none",
            f"Listen {self.backend_port}",
            f"<VirtualHost *:{self.port}>\nServerName localhost",
            *files,
            f"{self._test}\n</VirtualHost>",
            f"<VirtualHost *:{self.backend_port}>\nServerName localhost\n{proxy}Engine on",
            *verify,
            f"{self._test}\n</VirtualHost>",
            records=[record],
            **options,
        )
        return self

    def connection(self, backend=False, version="1.3"):
        self._connections.append(ContractConnection(self, backend, version))
        return self._connections[-1]

    def stop(self):
        for connection in self._connections:
            connection.free()
        self.listener.close()
