# SPDX-License-Identifier: Apache-2.0
"""Whether httpd grows. The parent must not over all reloads; children must not while they live.

A child that is replaced takes what it has leaked with it, so none is in the last part of a run, the steady one. Memory
is judged by medians of many samples, since load goes up and down. A child's descriptors are as many as its connections
and streams need, so they are counted when it has none, before the steady part and after."""

import statistics
import threading
import time
from dataclasses import dataclass

from harness.httpd import resident, wait_for
from soak.processes import connections, descriptors, ports_of_clients, proportional, unix_sockets
from soak.site import THREADS

INTERVAL = 1
# What medians may differ by, in KiB and descriptors.
PARENT_MEMORY, PARENT_DESCRIPTORS = 1024, 0
CHILDREN_MEMORY = 5120
# The Unix sockets of a child besides those of its threads: the door to tls-keyd.
FIXED_UNIX_SOCKETS = 1
# How long children may take to end the connections of clients that have left, in seconds.
PATIENCE = 60


@dataclass
class Sample:
    time: float
    connections: int
    parent_memory: int
    parent_descriptors: int
    children: tuple
    children_memory: int


class Sampler(threading.Thread):
    def __init__(self, site, ledger):
        super().__init__(daemon=True)
        self.samples = []
        self._site, self._ledger, self._over = site, ledger, threading.Event()

    def run(self):
        while not self._over.wait(INTERVAL):
            try:
                self.samples.append(self._sample())
            except (OSError, StopIteration):
                continue  # a process has ended meanwhile

    def stop(self):
        self._over.set()
        self.join()

    def _sample(self):
        parent, children = self._site.httpd.pid, tuple(sorted(self._site.httpd.children()))
        return Sample(
            time.time(),
            self._ledger.notes["connections"],
            resident(parent),
            descriptors(parent),
            children,
            sum(map(proportional, children)) + proportional(parent),
        )


@dataclass
class Verdict:
    what: str
    before: float
    after: float
    tolerance: float
    per: str = ""

    @property
    def good(self):
        return self.after - self.before <= self.tolerance

    def __str__(self):
        growth = self.after - self.before
        text = f"{self.what}: {self.before:.0f} -> {self.after:.0f} ({growth:+.0f}, up to {self.tolerance} allowed)"
        return text + self.per


def write(samples, path):
    """All samples, for a closer look."""
    begin = samples[0].time
    with open(path, "w") as f:
        for s in samples:
            figures = [s.connections, s.parent_memory, s.parent_descriptors, s.children_memory]
            print(f"{s.time - begin:.0f}", *figures, *s.children, file=f)


def judge(samples, steady_since, asan=False):
    """Verdicts on samples, of which those after `steady_since` are of the steady part. AddressSanitizer keeps what was
    freed, so that memory says nothing; it finds leaks itself."""
    half = [s for s in samples if s.time >= (samples[0].time + samples[-1].time) / 2]
    since = [s for s in samples if s.time >= steady_since]
    # Another child may be started for more load: what counts is after that.
    steady = [s for s in since if s.children == samples[-1].children]
    verdicts = [_compare("parent, descriptors, second half", half, "parent_descriptors", PARENT_DESCRIPTORS)]
    if not asan:
        verdicts += [
            _compare("parent, resident memory in KiB, second half", half, "parent_memory", PARENT_MEMORY),
            _compare("all processes, memory in KiB, steady part", steady, "children_memory", CHILDREN_MEMORY),
        ]
    if len(steady) < len(since) / 2:
        verdicts.append(Verdict("samples without the last children, of the steady part", len(steady), len(since), 0))
    return verdicts


def descriptors_at_rest(site):
    """The descriptors of each child that has no connection with a client. Connections that mod_proxy keeps to backends
    are left out: there are as many as it once needed at the same time. So are those of its threads to tls-keyd."""
    children = site.httpd.children()
    wait_for(lambda: not any(map(ports_of_clients, children)), "children to end what they serve", PATIENCE)
    return {
        pid: descriptors(pid) - len(connections(pid)) - min(unix_sockets(pid), THREADS + FIXED_UNIX_SOCKETS)
        for pid in children
    }


def judge_descriptors(before, after):
    """A verdict on the descriptors at rest of the children that were there at both times."""
    both = before.keys() & after.keys()
    first, last = (sum(found[pid] for pid in both) for found in (before, after))
    return Verdict("children, descriptors at rest, steady part", first, last, 0, f", {len(both)} children")


def _compare(what, samples, name, tolerance):
    """The first third of the samples with the last."""
    third = max(1, len(samples) // 3)
    first, last = samples[:third], samples[-third:]
    connections = _median(last, "connections") - _median(first, "connections")
    return Verdict(what, _median(first, name), _median(last, name), tolerance, f", {connections:.0f} connections apart")


def _median(samples, name):
    return statistics.median(getattr(s, name) for s in samples)
