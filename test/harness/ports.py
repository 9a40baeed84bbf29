# SPDX-License-Identifier: Apache-2.0
"""Ports that no other test uses at the same time."""

import os
import socket

RANGE = 400


class Ports:
    """Hands out free ports of a range that belongs to this pytest worker."""

    def __init__(self):
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        # Below the ports that the system gives to clients.
        self._first = 20000 + worker * RANGE
        self._next = 0

    def take(self):
        for _ in range(RANGE):
            port = self._first + self._next
            self._next = (self._next + 1) % RANGE
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
