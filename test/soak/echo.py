# SPDX-License-Identifier: Apache-2.0
"""Backends that echo and that can be restarted."""

import contextlib
import socket

from harness.backends import Backend


class Echo(Backend):
    """Responds with the body of the request."""

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            while head := self._head(stream):
                body = (
                    self._chunks(stream) if "chunked" in head.get("transfer-encoding", "") else self._body(stream, head)
                )
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    @staticmethod
    def _head(stream):
        head = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            head[name.lower()] = value.strip().lower()
        return head

    @staticmethod
    def _body(stream, head):
        length = int(head.get("content-length", 0))
        body = stream.read(length)
        if len(body) < length:
            raise ConnectionError("the request was cut off")
        return body

    @staticmethod
    def _chunks(stream):
        chunks = []
        while size := int(stream.readline() or b"x", 16):
            chunks.append(stream.read(size))
            stream.readline()
        stream.readline()
        return b"".join(chunks)

    def _serve(self, sock):
        # The data of a client that was cut off cannot be parsed.
        with contextlib.suppress(ValueError):
            super()._serve(sock)
        with contextlib.suppress(ValueError):
            self._open.remove(sock)

    def restarted(self):
        """Starts the backend again on the same port."""
        return type(self)(self.port, self._ctx)


class Tunnel(Echo):
    """Switches protocols, then echoes every byte."""

    def handle(self, sock):
        with sock:
            head = b""
            while b"\r\n\r\n" not in head:
                data = sock.recv(1000)
                if not data:
                    return
                head += data
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while data := sock.recv(65536):
                sock.sendall(data)
