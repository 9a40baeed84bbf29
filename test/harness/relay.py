# SPDX-License-Identifier: Apache-2.0
"""A relay between a client and httpd. It counts bytes, and can send a prefix to httpd."""

import contextlib
import socket
import threading

from harness.clients import TIMEOUT, context, raw_connection


class Relay:
    """A TLS connection to a.test. `prefix` is sent first, in one packet with the ClientHello or byte by byte. `sent`
    and `received` count all other bytes."""

    def __init__(self, httpd, prefix=b"", by_bytes=False):
        self._httpd, self._prefix, self._by_bytes = httpd, prefix, by_bytes
        self.sent, self.received = 0, 0

    def __enter__(self):
        self._server = raw_connection(self._httpd)
        inside, self._outside = socket.socketpair()
        inside.settimeout(TIMEOUT)
        self._threads = [threading.Thread(target=target, daemon=True) for target in (self._up, self._down)]
        for thread in self._threads:
            thread.start()
        self.tls = context(self._httpd).wrap_socket(inside, server_hostname="a.test")
        return self

    def __exit__(self, *_):
        self.tls.close()
        for sock in (self._outside, self._server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._outside.close()
        self._server.close()

    def _up(self):
        data = self._outside.recv(65536)
        self.sent = len(data)
        if self._by_bytes:
            for byte in self._prefix:
                self._server.sendall(bytes([byte]))
        else:
            data = self._prefix + data
        with contextlib.suppress(OSError):
            while data:
                self._server.sendall(data)
                data = self._outside.recv(65536)
                self.sent += len(data)
            self._server.shutdown(socket.SHUT_WR)

    def _down(self):
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                self.received += len(data)
                self._outside.sendall(data)
            self._outside.shutdown(socket.SHUT_WR)
