# SPDX-License-Identifier: Apache-2.0
"""Thousands of virtual hosts: start, graceful reload, memory."""

import contextlib
import threading
import time

import workloads
from harness.certs import key_pem, new_key


def make(directory, authority, count):
    """Certificates for `count` virtual hosts, with a key for each. Returns the virtual hosts."""
    hosts = []
    for number in range(count):
        name, key = f"host{number}.example.test", new_key()
        issued = authority.issue_for(name, key)
        file, key_file = directory / f"{number}.pem", directory / f"{number}.key"
        file.write_bytes(issued.chain_pem)
        key_file.write_bytes(key_pem(key))
        hosts.append((name, f"{file} {key_file}"))
    return hosts


class Client:
    """Makes requests repeatedly, each on a new connection. `gap` is the longest time between two responses."""

    def __init__(self, server, host):
        self._server, self._host = server, host
        self.gap, self._stopping = 0, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def _run(self):
        last = time.monotonic()
        while not self._stopping.is_set():
            with contextlib.suppress(OSError), workloads.connect(self._server, self._host) as sock:
                sock.sendall(f"GET /index.html HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())
                if sock.recv(1):
                    now = time.monotonic()
                    self.gap, last = max(self.gap, now - last), now

    def __exit__(self, *error):
        self._stopping.set()
        self._thread.join()


def measure(server, hosts):
    """Measures the time to the first response, the time of a graceful reload, the longest gap between responses in a
    reload (all in seconds), and the memory in MiB."""
    # With "*", httpd asks the resolver for each host.
    server.configure(hosts, address="127.0.0.1")
    try:
        start = server.start()
        memory = server.memory() / 1024
        with Client(server, hosts[0][0]) as client:
            reload = server.reload()
        return {"start": start, "reload": reload, "memory": memory, "gap": client.gap}
    finally:
        server.stop()
