# SPDX-License-Identifier: Apache-2.0
"""Ports that no other test uses at the same time."""

import socket

# Below the ephemeral ports of the system.
FIRST, END, BLOCK = 20000, 32000, 400


class Ports:
    """Free ports of a block that belongs to this process. The first port of the block stays bound, so other workers and
    other runs of the tests take other blocks."""

    def __init__(self):
        self._first = self._claim()
        self._next = 0

    def _claim(self):
        for first in range(FIRST, END, BLOCK):
            self._claimed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                self._claimed.bind(("127.0.0.1", first))
            except OSError:
                self._claimed.close()
            else:
                return first
        raise RuntimeError("no block of ports is free")

    def take(self):
        for _ in range(1, BLOCK):
            self._next = self._next % (BLOCK - 1) + 1
            port = self._first + self._next
            if self._is_free(port):
                return port
        raise RuntimeError("no free port")

    @staticmethod
    def _is_free(port):
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_STREAM) as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    s.bind((address, port))
                except OSError:
                    return False
        return True
