# SPDX-License-Identifier: Apache-2.0
"""Correct clients: their requests and the expected answers."""

import hashlib
import ssl
import time

from harness.clients import connect, read_response, request
from soak.accounting import BACKEND, DESCRIPTORS, DISK, KEYD, KILL, Lost, Wrong

DIRECT = (KILL, DESCRIPTORS, KEYD)
VERSIONS = [None, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
# The kinds of requests to a.test, with their weights.
KINDS = {"download": 8, "echo": 3, "through https://": 3, "through h2://": 3, "echo through h2://": 1}
FILES = {"empty": 1, "tiny": 6, "small": 8, "medium": 4, "large": 0.3}


def choose(rng, weights):
    return rng.choices(list(weights), list(weights.values()))[0]


class Load:
    """One client of the site."""

    def __init__(self, site, ledger, rng):
        self.site, self.ledger, self.rng = site, ledger, rng
        self._contexts, self._sessions = {}, {}

    def operations(self):
        return {self.conversation: 10, self.client_certificate: 2, self.tunnel: 1, self.slow_reader: 0.3, self.put: 1}

    # --- connections ---

    def _port(self):
        return self.rng.choice([self.site.httpd.port, self.site.ssl_port])

    def _connect(self, host, port):
        """Opens a connection. Half of them resume a session if there is one."""
        version = self.rng.choice(VERSIONS)
        if (host, version) not in self._contexts:
            self._contexts[host, version] = self.site.client_context(version, host)
        session = self._sessions.get((host, version, port)) if self.rng.random() < 0.5 else None
        tls = connect(self.site.httpd, host, ctx=self._contexts[host, version], port=port, session=session)
        if session:
            self.ledger.note("sessions resumed" if tls.session_reused else "sessions not resumed")
        self.ledger.note("connections")
        return tls, (host, version, port)

    def _keep_session(self, tls, key):
        if tls.session:
            self._sessions[key] = tls.session

    # --- actions ---

    def conversation(self, host="a.test", kinds=None):
        """Requests on one connection, with pauses between some of them."""
        port = self._port()
        tls, key, used = None, None, None
        try:
            for _ in range(self.rng.choice([1, 1, 1, 3, 10])):
                kind = choose(self.rng, kinds or KINDS)
                with self.ledger.request(f"HTTP/1.1 {kind}", self._harmed_by(kind), kept_since=used) as entry:
                    if not tls:
                        tls, key = self._connect(host, port)
                    entry.port = None if "through" in kind else tls.getsockname()[1]
                    keep = self._ask(tls, host, kind, entry)
                used = time.time()
                self._keep_session(tls, key)
                if not keep:
                    break
                if self.rng.random() < 0.2:
                    time.sleep(self.rng.random())
        finally:
            if tls:
                tls.close()

    @staticmethod
    def _harmed_by(kind):
        return (*DIRECT, BACKEND) if "echo" in kind else DIRECT

    def _ask(self, tls, host, kind, entry):
        """Makes one request and checks the answer. Returns whether the connection is kept."""
        if "echo" in kind:
            path = "/self2/echo" if "through" in kind else "/echo"
            body = self.rng.randbytes(self.rng.choice([0, 1, 1000, 20_000, 400_000]))
            message, digest = self._upload(host, path, body), hashlib.sha256(body).hexdigest()
        else:
            name = choose(self.rng, FILES)
            prefix = {"through https://": "/self/", "through h2://": "/self2/"}.get(kind, "/")
            message, digest = request(host, prefix + name, close=False), self.site.digests[name]
        tls.sendall(message)
        with tls.makefile("rb") as stream:
            entry.answering = bool(stream.peek(1))
            status, headers, body = read_response(stream)
        assert status == 200, f"status {status}: {body[:200]}"
        assert len(body) == int(headers["content-length"]), f"{len(body)} bytes of {headers['content-length']}"
        if hashlib.sha256(body).hexdigest() != digest:
            raise Wrong(f"{len(body)} bytes with wrong content")
        return headers.get("connection") != "close"

    def _upload(self, host, path, body):
        """A POST, with a length or chunked."""
        if self.rng.random() < 0.5:
            head = request(host, path, False, "POST", f"Content-Length: {len(body)}\r\n")
            return head + body
        head = request(host, path, False, "POST", "Transfer-Encoding: chunked\r\n")
        pieces = [body[i : i + 7000] for i in range(0, len(body), 7000)]
        return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"

    def client_certificate(self):
        self.conversation("client.test", {"download": 1})

    def tunnel(self):
        """A WebSocket, in both directions in turn, for up to some seconds."""
        port = self._port()
        with self.ledger.request("tunnel", (*DIRECT, BACKEND)) as entry:
            tls, _ = self._connect("a.test", port)
            with tls:
                entry.port = tls.getsockname()[1]
                headers = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                tls.sendall(request("a.test", "/tunnel", close=False, headers=headers))
                head = b""
                while b"\r\n\r\n" not in head:
                    head += self._some(tls, 1)
                assert head.startswith(b"HTTP/1.1 101"), head
                for _ in range(self.rng.randint(1, 30)):
                    data = self.rng.randbytes(self.rng.choice([1, 100, 5000, 50_000]))
                    tls.sendall(data)
                    received = b""
                    while len(received) < len(data):
                        received += self._some(tls, 65536)
                    if received != data:
                        # Without free descriptors mod_proxy fails only after it has answered 101.
                        assert b"500 Internal Server Error" not in received, "httpd could not open the tunnel"
                        raise Wrong("a tunnel returned other bytes")
                    time.sleep(self.rng.random() * 0.1)

    @staticmethod
    def _some(tls, size):
        data = tls.recv(size)
        if not data:
            raise ConnectionError("the connection has ended")
        return data

    def slow_reader(self):
        """A large file, read in small parts."""
        port, host = self._port(), "a.test"
        with self.ledger.request("slow reader", DIRECT) as entry:
            tls, _ = self._connect(host, port)
            with tls, tls.makefile("rb", buffering=8192) as stream:
                entry.port = tls.getsockname()[1]
                tls.sendall(request(host, "/large"))
                while stream.readline() not in (b"\r\n", b""):
                    pass
                digest, size = hashlib.sha256(), 0
                while data := stream.read(30_000):
                    digest.update(data)
                    time.sleep(0.01)
                    size += len(data)
                assert size == self.site.httpd.docs.joinpath("large").stat().st_size, f"{size} bytes"
                if digest.hexdigest() != self.site.digests["large"]:
                    raise Wrong("the right number of bytes with wrong content")

    def put(self):
        """An upload to a file system that is sometimes full."""
        body = self.rng.randbytes(self.rng.choice([10, 10_000, 200_000]))
        name = f"/upload{self.rng.randint(1, 8)}"
        host, port = "upload.test", self.site.httpd.port
        with self.ledger.request("PUT", (*DIRECT, DISK)) as entry:
            tls, _ = self._connect(host, port)
            with tls:
                entry.port = tls.getsockname()[1]
                tls.sendall(request(host, name, True, "PUT", f"Content-Length: {len(body)}\r\n") + body)
                with tls.makefile("rb") as stream:
                    status, _, text = read_response(stream)
                assert status in (201, 204), f"status {status}: {text[:200]}"


def run(load, stop, rate):
    """Runs one action after the other, at most `rate` a second, until `stop` is set."""
    weights = load.operations()
    while not stop.is_set():
        begin = time.monotonic()
        operation = choose(load.rng, weights)
        try:
            operation()
        except Lost:
            load.ledger.note("connections given up by clients")
        stop.wait(max(0.0, load.rng.expovariate(rate) - (time.monotonic() - begin)))
