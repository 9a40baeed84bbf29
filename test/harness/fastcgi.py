# SPDX-License-Identifier: Apache-2.0
"""A FastCGI application for all roles."""

import struct

from harness import backends

BEGIN, END, PARAMS, STDIN, STDOUT = 1, 3, 4, 5, 6
RESPONDER, AUTHORIZER = 1, 2


def _record(kind, data=b""):
    return struct.pack("!BBHHBx", 1, kind, 1, len(data), 0) + data


def _length(data, at):
    if data[at] < 128:
        return data[at], at + 1
    return int.from_bytes(data[at : at + 4], "big") & 0x7FFFFFFF, at + 4


def _parameters(data):
    found, at = {}, 0
    while at < len(data):
        name, at = _length(data, at)
        value, at = _length(data, at)
        found[data[at : at + name].decode()] = data[at + name : at + name + value].decode()
        at += name + value
    return found


class Application(backends.Backend):
    """`answer` is called with the parameters and the body, and yields parts of the output. `seen` has the parameters of
    all requests, by role."""

    def __init__(self, port, answer):
        self._answer = answer
        self.seen = {RESPONDER: [], AUTHORIZER: []}
        super().__init__(port)

    def handle(self, sock):
        with sock, sock.makefile("rb") as stream:
            while request := self._read(stream):
                role, parameters, body = request
                self.seen[role].append(parameters)
                for piece in self._answer(parameters, body):
                    for at in range(0, len(piece), 60_000):
                        sock.sendall(_record(STDOUT, piece[at : at + 60_000]))
                sock.sendall(_record(STDOUT) + _record(END, bytes(8)))

    @staticmethod
    def _read(stream):
        role, parts = None, {PARAMS: b"", STDIN: b""}
        while head := stream.read(8):
            _, kind, _, size, padding = struct.unpack("!BBHHBx", head)
            data = stream.read(size)
            stream.read(padding)
            if kind == BEGIN:
                role = int.from_bytes(data[:2], "big")
            elif kind in parts:
                parts[kind] += data
            # An authorizer has no input.
            if not data and kind == (PARAMS if role == AUTHORIZER else STDIN):
                return role, _parameters(parts[PARAMS]), parts[STDIN]
        return None
