# SPDX-License-Identifier: Apache-2.0
"""The results of all requests, and the disturbances that may have failed them."""

import collections
import contextlib
import threading
import time
import traceback
from dataclasses import dataclass, field

# The disturbances of the server.
RELOAD, KILL, DESCRIPTORS, DISK, BACKEND, KEYD = "reload", "kill", "descriptors", "disk", "backend", "keyd"
# A client that breaks off or sends wrong data. It may only harm its own requests.
BROKEN = "broken client"
# The time after a disturbance in which requests may still fail, in seconds.
AFTERMATH = 3
SHOWN_FAILURES = 20


class Lost(Exception):
    """A request was not answered. It is counted already, and its connection cannot be used any more."""


class Wrong(Exception):
    """A complete answer with the wrong content. No disturbance explains that."""


@dataclass
class Window:
    """One disturbance. Kills and faulty clients harm connections from these ports only: those of the child, or of the
    client."""

    kind: str
    begin: float
    end: float = float("inf")
    ports: frozenset = frozenset()

    def overlaps(self, begin, end):
        return self.begin <= end and begin <= self.end + AFTERMATH


class Disturbances:
    def __init__(self):
        self._windows = collections.defaultdict(list)
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def window(self, kind, ports=()):
        """Requests within the `with` block, and shortly after it, may fail."""
        window = Window(kind, time.time(), ports=frozenset(ports))
        with self._lock:
            self._windows[kind].append(window)
        try:
            yield window
        finally:
            window.end = time.time()

    def during(self, kind, begin, end):
        with self._lock:
            return [w for w in self._windows[kind] if w.overlaps(begin, end)]

    def latest(self, now):
        """The disturbances that began last, and how long ago."""
        with self._lock:
            ended = {kind: windows[-1].begin for kind, windows in self._windows.items() if windows and kind != BROKEN}
        return ", ".join(f"{kind} {now - begin:.1f} s ago" for kind, begin in ended.items())

    def counts(self):
        with self._lock:
            return {kind: len(windows) for kind, windows in self._windows.items() if windows}


@dataclass
class Request:
    """A request that was sent: the disturbances that may have failed it, and its connection."""

    kind: str
    harmed_by: frozenset
    begin: float = field(default_factory=time.time)
    # The client's port; None if more than one connection of httpd was involved.
    port: int = None
    # The time of the connection's previous use, if it was kept, and whether the answer has begun.
    kept_since: float = None
    answering: bool = False
    # Whether the HTTP/2 session ended without a byte of an answer. mod_http2 ends sessions in this way if they begin
    # while their process is stopping, with mod_ssl as with this module.
    is_session_lost: bool = False

    def reason(self, disturbances, now):
        """The disturbance that explains a missing answer, or None."""
        since = self.kept_since or self.begin
        if self.kept_since and not self.answering and disturbances.during(RELOAD, since, now):
            return "kept connection ended by a reload"
        if self.is_session_lost and disturbances.during(RELOAD, self.begin, now):
            return "HTTP/2 session ended by a reload"
        for kind in self.harmed_by:
            for window in disturbances.during(kind, since, now):
                if kind != KILL or self.port is None or self.port in window.ports:
                    return kind
        return None


class Ledger:
    def __init__(self, disturbances):
        self.disturbances = disturbances
        self.sent, self.answered = collections.Counter(), collections.Counter()
        self.excused, self.failures = collections.Counter(), []
        self.notes = collections.Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def request(self, kind, harmed_by, **about):
        """An exception within the `with` block means that the answer is missing or wrong."""
        entry = Request(kind, frozenset(harmed_by), **about)
        with self._lock:
            self.sent[kind] += 1
        try:
            yield entry
        except Exception as e:
            self._lose(entry, e)
            raise Lost from e
        with self._lock:
            self.answered[kind] += 1

    def _lose(self, entry, exception):
        reason = None if isinstance(exception, Wrong) else entry.reason(self.disturbances, time.time())
        latest = self.disturbances.latest(entry.begin)
        with self._lock:
            if reason:
                self.excused[entry.kind, reason] += 1
            else:
                trace = "".join(traceback.format_exception(type(exception), exception, exception.__traceback__)[-3:])
                took = time.time() - entry.begin
                when = f"at {time.ctime(entry.begin)}, after {took:.1f} s, from port {entry.port} ({latest})"
                self.failures.append(f"{entry.kind} {when}: {trace}")

    def note(self, what, number=1):
        """Counts an event that is not a request."""
        with self._lock:
            self.notes[what] += number

    @property
    def accounted(self):
        """Whether each request is either answered or explained."""
        return not self.failures and sum(self.sent.values()) == sum(self.answered.values()) + sum(self.excused.values())
