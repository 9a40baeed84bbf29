# SPDX-License-Identifier: Apache-2.0
"""WebSockets (RFC 6455): frames, a client, and a backend that echoes."""

import base64
import hashlib
import os
import struct

from harness import backends
from harness.clients import connect, request

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def frame(opcode, payload=b"", last=True, mask=b""):
    size = len(payload)
    extended = struct.pack("!H", size) if 125 < size < 65536 else struct.pack("!Q", size) if size > 65535 else b""
    length = {0: size, 2: 126, 8: 127}[len(extended)]
    head = bytes([opcode | (128 if last else 0), length | (128 if mask else 0)]) + extended
    return head + mask + (_masked(payload, mask) if mask else payload)


def _masked(payload, mask):
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def read_frame(stream):
    """Reads the next frame. Returns the opcode, whether it is the last frame of its message, and the payload."""
    head = stream.read(2)
    if len(head) < 2:
        raise ConnectionError("the connection ended between two frames")
    first, second = head
    size = second & 127
    if size > 125:
        size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
    mask = stream.read(4) if second & 128 else b""
    payload = stream.read(size)
    return first & 15, bool(first & 128), _masked(payload, mask) if mask else payload


def accept(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


class Client:
    """A WebSocket through TLS. `extra` is sent in the same packet as the request."""

    def __init__(self, httpd, path, host="a.test", extra=b""):
        self.tls = connect(httpd, host)
        self.stream = self.tls.makefile("rb")
        key = base64.b64encode(os.urandom(16))
        headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        headers += f"Sec-WebSocket-Key: {key.decode()}\r\n"
        self.tls.sendall(request(host, path, close=False, headers=headers) + extra)
        assert b" 101 " in self.stream.readline()
        found = {}
        while (line := self.stream.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            found[name.lower()] = value.strip()
        assert found[b"sec-websocket-accept"] == accept(key)

    def send(self, opcode, payload=b"", last=True):
        self.tls.sendall(frame(opcode, payload, last, os.urandom(4)))

    def read(self):
        return read_frame(self.stream)


class Backend(backends.Backend):
    """Echoes messages, answers pings, and sends "bye" before it answers a close."""

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            key = b""
            while (line := stream.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"sec-websocket-key:"):
                    key = line.partition(b":")[2].strip()
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            sock.sendall(head + b"Sec-WebSocket-Accept: " + accept(key) + b"\r\n\r\n")
            opcode = None
            while opcode != CLOSE:
                opcode, last, payload = read_frame(stream)
                if opcode == CLOSE:
                    sock.sendall(frame(TEXT, b"bye"))
                sock.sendall(frame(PONG if opcode == PING else opcode, payload, last))
