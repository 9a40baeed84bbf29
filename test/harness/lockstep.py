# SPDX-License-Identifier: Apache-2.0
"""Runs one program step by step over two TLS modules, and compares the results of their filters after every step."""

import random
import re
import select
import time

from harness.contract import TIMEOUT, pattern
from harness.openssl import MAX_RECORD

KINDS_WITH_DATA = ["heap", "transient", "immortal", "pool", "stubborn", "slow", "mmap", "pipe", "file", "sparse"]
# The number of bytes that may be in flight: the kernel accepts them while the server does not read.
WINDOW = 50_000
# The number of records without data at which a read of OpenSSL may return, one by one.
TICKETS = 8
FOREVER = 10_000_000


def text(size, seed=7):
    """Lines of printable characters: short, long and empty ones."""
    chosen, lines, length = random.Random(seed), [], 0
    while length < size:
        line = "".join(
            chosen.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=chosen.choice([0, 1, 7, 60, 300, 9000]))
        )
        lines.append(line.encode() + chosen.choice([b"\r\n", b"\n"]))
        length += len(lines[-1])
    return b"".join(lines)[:size]


TEXT = text(1 << 20)


class Incomparable(Exception):
    """From here on the two modules differ, as expected."""


class Difference(AssertionError):
    """The two modules differ, and no row explains the difference."""


class Lockstep:
    """Two connections that receive the same bytes and whose filters are called with the same arguments. `expected` has
    rows: a pattern for the place of a difference, the reason, a predicate on both values, and whether the comparison
    ends there."""

    def __init__(self, servers, expected, backend=False, version="1.3"):
        self.connections = [server.connection(backend, version) for server in servers]
        self.backend, self.version, self._expected = backend, version, expected
        # The number of bytes that the peers have written, the number that each module has read, and the data that the
        # peers must receive.
        self.sent, self.consumed, self.due = 0, [0, 0], bytearray()
        # The number of bytes that are completely sent, and how the connections have ended.
        self.arrived, self.ended = 0, "open"
        # The number of bytes with a pattern that the modules have written, and the steps so far.
        self.offset, self.log = 0, []

    # --- Comparing ---

    @property
    def place(self):
        return f"{'backend' if self.backend else 'front'}/{self.version}/{self.ended}"

    def compare(self, what, ours, theirs):
        if ours == theirs:
            return
        path = f"{self.place}/{what}"
        for place, _, holds, ends in self._expected:
            if re.fullmatch(place, path) and holds(ours, theirs):
                if ends:
                    raise Incomparable(path)
                return
        self._fail(what, f"ours {ours!r}, mod_ssl's {theirs!r}")

    def _fail(self, what, why):
        raise Difference(f"{self.place}/{what}: {why}\nafter " + "\n      ".join(self.log))

    def run(self, *words):
        return [connection.run(*words) for connection in self.connections]

    def program(self, steps):
        """Runs all steps, each (name, argument...), then finishes."""
        try:
            for name, *arguments in steps:
                self.log.append(" ".join(map(str, [name, *arguments])))
                getattr(self, f"do_{name}")(*arguments)
            self.log.append("finish")
            self.finish()
        except Incomparable:
            pass
        finally:
            for connection in self.connections:
                connection.free()

    # --- Opening ---

    def do_open(self, how):
        """The handshake, begun by a read or by a write."""
        self.run("timeout", FOREVER)
        for connection in self.connections:
            connection.peer.send()
        if how == "nonblock":
            answers = [self._open_without_blocking(connection) for connection in self.connections]
        elif how == "write":
            self.do_write("heap:100", "flush")
            answers = []
        elif how == "metadata":
            answers = self.run("write", "flush", "mark", "eos")
        else:
            answers = self.run("read", "INIT", "block", 0)
        if answers:
            self.compare(f"open/{how}", *(answer.status for answer in answers))
        if how == "metadata":
            self.do_open("block")
        self._settle()

    @staticmethod
    def _open_without_blocking(connection):
        end = time.monotonic() + TIMEOUT
        answer = connection.run("read", "INIT", "nonblock", 0)
        while answer.status == "EAGAIN" and time.monotonic() < end:
            if select.select([connection.peer.sock], [], [], 0.002)[0]:
                connection.peer.pump()
            answer = connection.run("read", "INIT", "nonblock", 0)
        return answer

    def _settle(self):
        for connection in self.connections:
            end = time.monotonic() + TIMEOUT
            while not connection.peer.endpoint.handshake():
                assert time.monotonic() < end and connection.peer.open, f"no handshake: {connection.peer.end}"
                if select.select([connection.peer.sock], [], [], 0.1)[0]:
                    connection.peer.pump()
            connection.deliver()

    # --- Steps of the peers ---

    def _write(self, size):
        room = WINDOW - (self.sent - min(self.consumed))
        if room <= 0:
            return
        size = min(size, room)
        while size < 100 and not TEXT[self.sent : self.sent + size].strip():
            size += 1
        for connection in self.connections:
            connection.peer.endpoint.write(TEXT[self.sent : self.sent + size])
        self.sent += size

    def _send(self, share=1.0):
        for connection in self.connections:
            connection.deliver(share)
        if share == 1.0:
            self.arrived = self.sent

    def _may_send(self):
        return self.ended == "open"

    def do_send(self, *sizes):
        """Writes each size separately, and sends all together."""
        if self._may_send():
            for size in sizes:
                self._write(size)
            self._send()

    def do_part(self, size, share):
        """Sends only a part of the record. The rest is sent with the next data."""
        if self._may_send():
            self._send()
            self._write(min(size, MAX_RECORD))
            self._send(share)

    def do_rest(self):
        if self._may_send():
            self._send()

    def do_key_update(self, requested):
        if self._may_send() and self.version == "1.3":
            for connection in self.connections:
                connection.peer.endpoint.key_update(requested)
            self._send()

    def do_ticket(self):
        if self._may_send() and self.version == "1.3" and self.backend:
            for connection in self.connections:
                connection.peer.endpoint.ticket()
            self._send()

    def do_close_notify(self):
        if self._may_send():
            for connection in self.connections:
                connection.peer.endpoint.close_notify()
            self._send()
            self.ended = "close_notify"

    def do_fin(self):
        """Ends the connection, with or without a close_notify before."""
        if self.ended in ("open", "close_notify"):
            for connection in self.connections:
                connection.peer.fin()
            self.ended = "closed" if self.ended == "close_notify" else "fin"
            self.run("hangup")

    def do_reset(self):
        if self.ended in ("open", "close_notify", "closed", "fin"):
            for connection in self.connections:
                connection.peer.reset()
            self.run("hangup")
            self.ended = "reset"

    # --- Steps of the modules ---

    def do_read(self, mode, block, timeout, size):
        self.run("timeout", timeout)
        answers = self.run("read", mode, block, size)
        what = f"read/{mode}/{block}"
        for number, answer in enumerate(answers):
            self._check_read(f"{what}/{number}", number, mode, size, answer)
        for name in ("status", "kinds", "aborted"):
            self.compare(f"{what}/{name}", *(getattr(answer, name) for answer in answers))
        if mode == "GETLINE":
            self.compare(f"{what}/data", *(answer.data for answer in answers))
            if answers[0].status != "SUCCESS":
                peeked = self.run("read", "SPECULATIVE", "nonblock", 1)
                self.compare(f"{what}/aborted", *(answer.aborted for answer in peeked))
                self.compare(f"{what}/kept", *(len(answer.data) for answer in peeked))
        if mode == "EATCRLF" and answers[0].status in ("SUCCESS", "EOF"):
            self._find_eaten()
        self._level(what)
        if answers[1].status == "ENOTIMPL":
            # mod_ssl has to read from the network, too.
            looked = self.connections[1].run("read", "SPECULATIVE", "nonblock", 1)
            self.compare(f"{what}/aborted", answers[0].aborted, looked.aborted)

    def _check_read(self, what, number, mode, size, answer):
        """For each module: bytes arrive in order, none is lost, and not more than requested."""
        at = self.consumed[number]
        if answer.data != TEXT[at : min(self.arrived, at + len(answer.data))]:
            self.compare(f"{what}/intact", number == 1, number == 0)
        if answer.data and answer.status != "SUCCESS":
            self._fail(what, f"{answer.status} with data, which its caller drops")
        if mode in ("READBYTES", "SPECULATIVE") and len(answer.data) > size:
            self._fail(what, f"{len(answer.data)} instead of {size} bytes")
        if mode != "SPECULATIVE":
            self.consumed[number] += len(answer.data)

    def _find_eaten(self):
        """Finds the position of this module after it has skipped line ends, by reading ahead."""
        peeked = self.connections[0].run("read", "SPECULATIVE", "nonblock", 8192).data
        at = self.consumed[0]
        while TEXT[at : at + len(peeked)] != peeked or (not peeked and TEXT[at : at + 1].isspace()):
            if at >= self.arrived or not TEXT[at : at + 1].isspace():
                self._fail("read/EATCRLF", "more than line ends was eaten")
            at += 1
        self.consumed[0] = min(at, self.arrived)

    def _level(self, what):
        """Brings both modules to the same byte: the one that has read less reads on."""
        behind = 0 if self.consumed[0] < self.consumed[1] else 1
        goal = max(self.consumed)
        while self.consumed[behind] < goal:
            answer = self.connections[behind].run("read", "READBYTES", "nonblock", goal - self.consumed[behind])
            for _ in range(TICKETS):
                if answer.status == "EAGAIN":
                    answer = self.connections[behind].run("read", "READBYTES", "nonblock", goal - self.consumed[behind])
            self._check_read(f"{what}/levelled", behind, "READBYTES", goal, answer)
            if not answer.data:
                values = [answer.status if number == behind else "SUCCESS" for number in (0, 1)]
                self.compare(f"{what}/levelled", *values)
                self._fail(what, f"bytes are lost: {values}")

    def do_respond(self):
        self.run("respond")

    def do_abort(self):
        self.run("abort")
        self.ended = "aborted"

    def do_write(self, *buckets):
        self.run("timeout", FOREVER)
        fails = self._expect(buckets)
        answers = self.run("write", *buckets)
        what = f"write/{fails}" if fails else "write"
        for name in ("status", "left", "aborted"):
            self.compare(f"{what}/{name}", *(getattr(answer, name) for answer in answers))
        if fails == "eoc" and "flush" in buckets:
            self._receive(what, [*buckets, "flush"], answers)
            self.ended = "eoc"
        elif fails:
            raise Incomparable
        elif "flush" in buckets and self.ended in ("open", "close_notify", "closed", "fin"):
            self._receive(what, buckets, answers)

    def _receive(self, what, buckets, answers):
        after = len(buckets) - 1 - buckets[::-1].index("flush")
        size = len(self.due) - sum(self._size(bucket) for bucket in buckets[after:])
        for connection in self.connections:
            self._check_received(what, connection.receive(size)[:size], bytes(self.due[:size]))
        if buckets[-1] == "flush":
            for name in ("made", "destroyed"):
                self.compare(f"{what}/{name}", *(getattr(answer, name) for answer in answers))

    def _check_received(self, what, received, due):
        if received != due:
            size = min(len(received), len(due))
            at = next((i for i in range(size) if received[i] != due[i]), size)
            self._fail(what, f"received {len(received)} bytes instead of {len(due)}, wrong from {at} on")

    @staticmethod
    def _size(bucket):
        kind, *rest = bucket.split(":")
        return int(rest[0]) if kind in KINDS_WITH_DATA else 0

    def _expect(self, buckets):
        """Adds to the data that the peers must receive. Returns the kind of the first bucket after which nothing is
        sent."""
        if self.ended == "eoc":
            return "late" if any(self._size(bucket) for bucket in buckets) else None
        for bucket in buckets:
            kind = bucket.split(":")[0]
            if kind in ("broken", "cut", "eoc"):
                return kind
            size = self._size(bucket)
            self.due += bytes(size) if kind == "sparse" else pattern(self.offset, size)
            self.offset += 0 if kind == "sparse" else size
        return None

    def finish(self):
        """Closes both connections and compares how the peers see the end."""
        if self.ended == "reset":
            self.run("write", "flush")
        seen = [connection.finish() for connection in self.connections]
        complete = not self.backend and self.ended in ("open", "close_notify")
        for each in seen:
            due = self.due if complete else self.due[: len(each["received"])]
            self._check_received("finish", each["received"], bytes(due))
        for name in ("end", "close_notify"):
            self.compare(f"finish/{name}", *(each[name] for each in seen))
