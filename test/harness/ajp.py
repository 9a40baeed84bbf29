# SPDX-License-Identifier: Apache-2.0
"""A servlet container for AJP 1.3. It echoes bodies and records the attributes of requests."""

import struct

from harness import backends

FORWARD, BODY_CHUNK, HEADERS, END, GET_BODY = 2, 3, 4, 5, 6
ATTRIBUTES = {3: "user", 5: "query", 7: "ssl_cert", 8: "ssl_cipher", 9: "ssl_session"}
METHODS = {2: "GET", 4: "POST"}
CONTENT_LENGTH = 0xA008
CHUNK = 8000


class _Reader:
    """The fields of a packet, in sequence."""

    def __init__(self, data):
        self._data, self._at = data, 0

    def bytes(self, size):
        self._at += size
        return self._data[self._at - size : self._at]

    def byte(self):
        return self.bytes(1)[0]

    def integer(self):
        return int.from_bytes(self.bytes(2), "big")

    def string(self, size=None):
        size = self.integer() if size is None else size
        if size == 0xFFFF:
            return None
        text = self.bytes(size).decode()
        self.bytes(1)
        return text


def _forwarded(reader):
    """The fields of a FORWARD_REQUEST."""
    said = {"method": METHODS.get(reader.byte()), "protocol": reader.string(), "uri": reader.string()}
    said |= {"address": reader.string(), "name": reader.string(), "server": reader.string()}
    said |= {"port": reader.integer(), "is_ssl": bool(reader.byte()), "length": 0}
    for _ in range(reader.integer()):
        code = reader.integer()
        if code >> 8 != 0xA0:
            reader.string(code)
        value = reader.string()
        if code == CONTENT_LENGTH:
            said["length"] = int(value)
    while (code := reader.byte()) != 0xFF:
        if code == 10:
            name = reader.string()
            said[name] = reader.string()
        else:
            said[ATTRIBUTES.get(code, code)] = reader.integer() if code == 11 else reader.string()
    return said


def _packet(kind, data):
    return b"AB" + struct.pack("!HB", len(data) + 1, kind) + data


def _string(text):
    return struct.pack("!H", len(text)) + text + b"\0"


class Container(backends.Backend):
    """`seen` has the fields of each request; `garbled` has the data that was not AJP."""

    def __init__(self, port):
        self.seen, self.garbled = [], []
        super().__init__(port)

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            while packet := self._read(stream):
                if packet.byte() != FORWARD:
                    continue
                said = _forwarded(packet)
                self.seen.append(said)
                body = self._body(sock, stream, said["length"])
                sock.sendall(_packet(HEADERS, struct.pack("!H", 200) + _string(b"OK") + struct.pack("!H", 0)))
                for at in range(0, len(body), CHUNK):
                    sock.sendall(_packet(BODY_CHUNK, _string(body[at : at + CHUNK])))
                sock.sendall(_packet(END, b"\1"))

    def _body(self, sock, stream, length):
        """Reads the body. The first packet of it arrives without a request for it."""
        body = b""
        while len(body) < length:
            if body:
                sock.sendall(_packet(GET_BODY, struct.pack("!H", CHUNK)))
            packet = self._read(stream)
            body += packet.bytes(packet.integer())
        return body

    def _read(self, stream):
        head = stream.read(4)
        if head and head[:2] != b"\x124":
            self.garbled.append(head)
            return None
        return _Reader(stream.read(int.from_bytes(head[2:], "big"))) if head else None
