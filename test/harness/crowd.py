# SPDX-License-Identifier: Apache-2.0
"""Many handshakes at the same time."""

import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass

from harness.clients import context

INTERNAL_ERROR = "TLSV1_ALERT_INTERNAL_ERROR"
OK = "ok"
TIMEOUT = 20


@dataclass
class Outcome:
    what: str
    seconds: float


class Crowd:
    """Threads that each make one full handshake with a.test; `is_endless` ones make many until they are stopped, and
    `is_waiting` ones wait for `begin`."""

    def __init__(self, httpd, size, is_endless=False, is_waiting=False):
        self._httpd, self._ctx = httpd, context(httpd)
        self._stopping = threading.Event()
        if not is_endless:
            self._stopping.set()
        self._beginning = threading.Event()
        self.outcomes = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()
        if not is_waiting:
            self.begin()

    def begin(self):
        """Lets threads begin that wait for it."""
        self._beginning.set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.begin()
        self.end()

    def _run(self):
        self._beginning.wait()
        while True:
            begin = time.monotonic()
            what = self._handshake()
            self.outcomes.append(Outcome(what, time.monotonic() - begin))
            if self._stopping.is_set():
                return

    def _handshake(self):
        try:
            with (
                socket.create_connection(("127.0.0.1", self._httpd.port), TIMEOUT) as raw,
                self._ctx.wrap_socket(raw, server_hostname="a.test"),
            ):
                return OK
        except ssl.SSLError as error:
            return error.reason
        except OSError as error:
            return type(error).__name__

    def done(self, what=OK):
        return sum(outcome.what == what for outcome in self.outcomes)

    def end(self):
        """Waits until all have ended. Returns the outcomes by their kinds."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return Counter(outcome.what for outcome in self.outcomes)
