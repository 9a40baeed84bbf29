# SPDX-License-Identifier: Apache-2.0
"""Slow clients and faulty clients."""

import contextlib
import socket
import ssl
import struct
import time

from harness.clients import MemoryClient, connect, raw_connection, request
from soak.accounting import BROKEN
from soak.loads import DIRECT

# How long a faulty client waits for the server's answer, which it does not evaluate.
PATIENCE = 1


def reset(sock):
    """Closes with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Slow:
    """Sends a handshake and a request a few bytes at a time. It has to be answered."""

    def __init__(self, site, ledger, rng):
        self.site, self.ledger, self.rng = site, ledger, rng

    def operations(self):
        return {self.dribble: 1}

    def dribble(self):
        port = self.rng.choice([self.site.httpd.port, self.site.ssl_port])
        with self.ledger.request("slow client", DIRECT) as entry, raw_connection(self.site.httpd, port) as sock:
            entry.port = sock.getsockname()[1]
            self.ledger.note("connections")
            client = MemoryClient(self.site.httpd, "a.test", self.site.client_context())
            self._drive(sock, client, client.tls.do_handshake)
            client.tls.write(request("a.test", "/small"))
            answer = b""
            with contextlib.suppress(ssl.SSLZeroReturnError):
                while data := self._drive(sock, client, lambda: client.tls.read(65536)):
                    answer += data
            body = answer.partition(b"\r\n\r\n")[2]
            assert body == self.site.httpd.docs.joinpath("small").read_bytes(), f"{len(answer)} bytes"

    def _drive(self, sock, client, step):
        """Runs `step`, and moves bytes until it is complete."""
        while True:
            try:
                result = step()
                self._send(sock, client.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                self._send(sock, client.outgoing.read())
                data = sock.recv(65536)
                if data:
                    client.incoming.write(data)
                else:
                    client.incoming.write_eof()

    def _send(self, sock, data):
        while data:
            size = self.rng.choice([1, 1, 5, 60])
            sock.sendall(data[:size])
            data = data[size:]
            time.sleep(0.005)


class Broken:
    """Makes mistakes of many kinds. Other clients must not notice."""

    def __init__(self, site, ledger, rng):
        self.site, self.ledger, self.rng = site, ledger, rng
        self._ctx, self._window = site.client_context(), None

    def operations(self):
        mistakes = [self.garbage, self.mutated_hello, self.cut_hello, self.plain_http, self.reset_in_handshake]
        mistakes += [self.reset_in_request, self.reset_in_upload, self.reset_in_download, self.garbage_after_handshake]
        mistakes += [self.silence, self.close_without_notice]
        return {self._counted(mistake): 1 for mistake in mistakes}

    def _counted(self, mistake):
        def make():
            self.ledger.note("mistakes of broken clients")
            self.ledger.note("connections")
            # The server may refuse or reset the connection, or be busy.
            with self.ledger.disturbances.window(BROKEN) as self._window, contextlib.suppress(OSError, ssl.SSLError):
                mistake()

        return make

    def _port(self):
        return self.rng.choice([self.site.httpd.port, self.site.ssl_port])

    def _raw(self):
        sock = raw_connection(self.site.httpd, self._port())
        sock.settimeout(PATIENCE)
        return self._watched(sock)

    def _watched(self, sock):
        """Messages in the log about this connection are caused by the client."""
        self._window.ports |= {sock.getsockname()[1]}
        return sock

    def _hello(self):
        host = self.rng.choice(["a.test", "client.test", "nobody.test"])
        return bytearray(MemoryClient(self.site.httpd, host, self._ctx).hello())

    def _say(self, data):
        with self._raw() as sock:
            sock.sendall(data)
            while sock.recv(65536):
                pass

    def garbage(self):
        self._say(self.rng.randbytes(self.rng.choice([1, 5, 600, 40_000])))

    def mutated_hello(self):
        hello = self._hello()
        for _ in range(self.rng.randint(1, 8)):
            hello[self.rng.randrange(len(hello))] = self.rng.randrange(256)
        self._say(hello)

    def cut_hello(self):
        """Part of a ClientHello, then an end or a reset."""
        hello = self._hello()
        sock = self._raw()
        sock.sendall(hello[: self.rng.randrange(len(hello))])
        self.rng.choice([reset, socket.socket.close])(sock)

    def plain_http(self):
        self._say(request("a.test", "/tiny"))

    def silence(self):
        with self._raw() as sock:
            sock.recv(1)

    def reset_in_handshake(self):
        """A reset after the server's first flight, or while it is being sent."""
        sock = self._raw()
        sock.sendall(self._hello())
        if self.rng.random() < 0.5:
            sock.recv(1000)
        reset(sock)

    def _connected(self):
        return self._watched(connect(self.site.httpd, "a.test", ctx=self._ctx, port=self._port()))

    def reset_in_request(self):
        tls = self._connected()
        tls.sendall(request("a.test", "/small")[: self.rng.randint(1, 20)])
        reset(tls)

    def reset_in_upload(self):
        tls = self._connected()
        tls.sendall(request("a.test", "/echo", True, "POST", "Content-Length: 1000000\r\n") + bytes(30_000))
        self.rng.choice([reset, ssl.SSLSocket.close])(tls)

    def reset_in_download(self):
        tls = self._connected()
        tls.sendall(request("a.test", self.rng.choice(["/large", "/self/large", "/self2/large"])))
        tls.recv(1000)
        self.rng.choice([reset, ssl.SSLSocket.close])(tls)

    def garbage_after_handshake(self):
        """Bytes that are no record, between records."""
        tls = self._connected()
        tls.sendall(request("a.test", "/small", close=False))
        with socket.socket(fileno=tls.detach()) as raw:
            raw.settimeout(PATIENCE)
            raw.sendall(self.rng.choice([b"\x17\x03\x03\x00\x20" + self.rng.randbytes(32), self.rng.randbytes(50)]))
            while raw.recv(65536):
                pass

    def close_without_notice(self):
        tls = self._connected()
        raw = socket.socket(fileno=tls.detach())
        raw.close()
